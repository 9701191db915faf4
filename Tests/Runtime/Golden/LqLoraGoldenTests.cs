using System.Globalization;
using System.Text.Json;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Allocation;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>LQ-LoRA against the published code; the checks of its page.</summary>
[Trait("Category", "Golden")]
public sealed class LqLoraGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("lq-lora");
    private readonly Tensor weight;
    private readonly Tensor fisher;

    public LqLoraGoldenTests()
    {
        weight = golden["in.W0"];
        fisher = golden["in.F0"];
    }

    public static TheoryData<bool> Kinds => [false, true];

    private IReadOnlyList<string> Budgets => [.. golden.Variants("out.ilp.").Where(name => name.StartsWith("budget", StringComparison.Ordinal))];

    private List<LqLora> Configurations => [.. JsonDocument.Parse(golden.Setting("ilp.configs")).RootElement.EnumerateArray().Select(list =>
        Step(list[0].GetInt32(), list[1].GetInt32(), Type(list[2].GetString()!), list[3].GetInt32(), list[4].GetInt32()))];

    private IReadOnlyList<string> Quantizers => [.. golden.Variants("out.quant").Select(index => "quant" + index)];

    private int Rank => golden.Integer("rank");

    [Fact]
    public void Tables_have_zero_and_both_ends_and_equal_the_reference()
    {
        foreach (string name in golden.Variants("out.nf"))
        {
            int bits = int.Parse(name, CultureInfo.InvariantCulture);
            var levels = NormalFloatLevels.Of(bits);
            levels.ShouldBeNear(golden[$"out.nf{bits}.values"], 1e-6);
            float[] values = [.. levels.data<float>()];
            values.Length.ShouldBe(1 << bits);
            values.ShouldBe(values.Order().Distinct());
            (values[0], values[^1]).ShouldBe((-1, 1));
            values.ShouldContain(0);
        }
    }

    [Fact]
    public void Codes_scales_and_offset_equal_the_reference()
    {
        foreach (string name in Quantizers)
        {
            var (grid, scales) = Parts(LowRankPlusQuantized.Round(weight, Configuration(name)));
            MostlySame(grid.UnpackedCodes(), golden[$"out.{name}.codes"], 0.002);
            MostlySame(scales.UnpackedCodes(), golden[$"out.{name}.scale_codes"], 0.002);
            scales.Scales.Materialize().mul(scales.Geometry.Highest).reshape(-1).ShouldBeNear(golden[$"out.{name}.scales1"], 1e-6);
            scales.Zeros!.reshape(-1).ShouldBeNear(golden[$"out.{name}.offset"], 0);
            var same = grid.UnpackedCodes().reshape(weight.shape).eq(golden[$"out.{name}.codes"].to(int16));
            (grid.Dequantize().reshape(weight.shape) * same).ShouldBeNear(golden[$"out.{name}.Q"] * same, 1e-5);
        }
    }

    [Fact]
    public void Values_are_their_level_times_their_scale_and_no_value_moves_by_more_than_half_a_gap()
    {
        foreach (string name in Quantizers)
        {
            var step = Configuration(name);
            using var stored = LowRankPlusQuantized.Round(weight, step);
            var (grid, scales) = Parts(stored);
            var codes = grid.UnpackedCodes().reshape(-1).to(int64);
            var spread = grid.Geometry.Spread(scales.Dequantize()).reshape(-1);
            var restored = NormalFloatLevels.Of(step.Bits).index_select(0, codes) * spread;
            Compare.SameBits(restored.reshape(weight.shape), stored.Materialize()).ShouldBeTrue();

            var levels = NormalFloatLevels.Of(step.Bits).to(float64);
            var gaps = levels[1..] - levels[..^1];
            var below = cat([gaps[..1], gaps]).index_select(0, codes);
            var above = cat([gaps, gaps[^1..]]).index_select(0, codes);
            var moved = weight.reshape(-1).to(float64) - restored;
            var inside = weight.reshape(-1).abs() <= spread;
            var bound = where(moved > 0, above, below) / 2 * spread.to(float64) * (1 + 1e-5);
            ((moved.abs() <= bound) | ~inside).all().item<bool>().ShouldBeTrue();
            inside.to(float64).mean().item<double>().ShouldBeGreaterThan(0.9);
            var ends = (codes == 0) | (codes == (1 << step.Bits) - 1);
            (ends | inside).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void Stored_bits_are_those_of_the_formula_beside_a_table_and_an_offset()
    {
        foreach (string name in Quantizers)
        {
            var step = Configuration(name);
            using var stored = LowRankPlusQuantized.Round(weight, step);
            long fixedBytes = (4L << step.Bits) + 4;
            (8.0 * (stored.Bytes - fixedBytes) / weight.numel()).ShouldBe(golden.Number(name + ".bits_per_weight"));
        }

        using var large = LowRankPlusQuantized.Round(ones(64, 256), Step(4, 8, RealType.Float32, 64, 256));
        (8.0 * (large.Bytes - (4 * 16) - 4) / large.Rows / large.Columns).ShouldBe(4.126953, 5e-7);
    }

    [Fact]
    public void Factors_in_each_metric_equal_the_reference()
    {
        var (rows, columns) = (Mean(1), Mean(0));
        foreach (string name in golden.Variants("out.wsvd."))
        {
            var axis = name switch { "row" => FisherAxis.Output, "col" => FisherAxis.Input, _ => FisherAxis.Both };
            var factors = FisherWeighting.Of(weight.to(float64), FisherWeighting.Weights(rows, 1e-6), FisherWeighting.Weights(columns, 1e-6), axis, Rank).Factors;
            factors.Multiply().ShouldBeNear(golden[$"out.wsvd.{name}.L1L2"], 1e-5);
        }

        Tensor Mean(long dimension) => fisher.to(float64).mean([dimension]);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_official_form_has_the_trace_codes_and_factors_of_the_published_code(bool weighted)
    {
        string prefix = Prefix(weighted);
        double[] trace = [.. golden[prefix + "errors"].data<double>()];

        // A value halfway between two levels goes either way by the last bit of float32, and the search from there on as well: the reference took one of the ways.
        var ways = Enumerable.Range(0, 8).Select(seed => Decompose(weighted, Parity.Official, seed == 0 ? weight : weight * (1 + (1e-7 * randn(weight.shape, generator: new Generator((ulong)seed))))));
        var found = ways.FirstOrDefault(way => way.Errors.Count == trace.Length && Norms(way.Errors, weighted).Zip(trace).All(pair => Math.Abs(pair.First - pair.Second) <= 1e-5 * pair.Second)).ShouldNotBeNull();
        found.Kept.ShouldBe(found.Errors.Count - 1);
        found.Weight.Parts[1].Materialize().ShouldBeNear(golden[prefix + "L1L2"], 1e-4);
        found.Weight.Parts[1].Materialize().ShouldBeNear(golden[prefix + "L1"].mm(golden[prefix + "L2"]), 1e-4);
        MostlyNear(found.Weight.Parts[0].Materialize(), golden[prefix + "Q"]);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_codes_of_the_published_code_are_those_of_what_its_factors_leave(bool weighted)
    {
        string prefix = Prefix(weighted);
        MostlyNear(LowRankPlusQuantized.Round(weight - golden[prefix + "L1L2"], Lq()).Materialize(), golden[prefix + "Q"]);
        double error = MatrixChecks.WeightedError(weight, golden[prefix + "Q"] + golden[prefix + "L1L2"], weighted ? fisher : null);
        Norms([error], weighted)[0].ShouldBeNear(golden[prefix + "errors"][^1].item<double>(), 1e-5);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Errors_fall_until_the_last_and_the_best_is_kept_and_beats_either_part_alone(bool weighted)
    {
        var found = Decompose(weighted, Parity.Sound);
        found.Errors.SkipLast(1).ShouldBe(found.Errors.SkipLast(1).OrderDescending());
        found.Errors[^1].ShouldBeGreaterThanOrEqualTo(found.Errors[^2]);
        found.Errors[found.Kept].ShouldBe(found.Errors.Min());
        var f = weighted ? fisher : null;
        MatrixChecks.WeightedError(weight, found.Weight.Materialize(), f).ShouldBe(found.Errors[found.Kept]);
        found.Errors[found.Kept].ShouldBeLessThanOrEqualTo(found.Errors[0]);
        found.Errors[found.Kept].ShouldBeLessThanOrEqualTo(MatrixChecks.WeightedError(weight, LowRankPlusQuantized.Round(weight, Lq()).Materialize(), f));
    }

    [Fact]
    public void Equal_sensitivities_change_nothing()
    {
        var plain = Decompose(false, Parity.Sound).Weight;
        var step = Lq();
        var constant = LowRankPlusQuantized.Of(weight, full_like(weight, 0.37), step, 0).Weight;
        constant.Parts[1].Materialize().ShouldBeNear(plain.Parts[1].Materialize(), 1e-5);
    }

    [Fact]
    public void No_rank_is_plain_rounding_and_full_rank_leaves_no_error()
    {
        var step = Lq();
        step.Rank = 0;
        var plain = LowRankPlusQuantized.Of(weight, fisher, step, 0);
        Compare.SameBits(plain.Weight.Materialize(), LowRankPlusQuantized.Round(weight, step).Materialize()).ShouldBeTrue();
        plain.Errors.ShouldHaveSingleItem();
        step.Rank = (int)Math.Min(weight.shape[0], weight.shape[1]);
        LowRankPlusQuantized.Of(weight, fisher, step, 0).Weight.Materialize().ShouldBeNear(weight, 1e-5);
    }

    [Fact]
    public void An_adapter_of_any_alpha_starts_at_the_product()
    {
        var plain = Start(0);
        foreach (double alpha in new[] { 1.0, 16, 0.3 })
        {
            var start = Start(alpha);
            var adapter = start.Parts[1].ShouldBeOfType<Scaled>();
            adapter.Factor.ShouldBe(alpha / Rank);
            var (b, a) = (adapter.Inner.Parts[0].Materialize(), adapter.Inner.Parts[1].Materialize());
            (alpha / Rank * b.mm(a)).ShouldBeNear(plain.Parts[1].Materialize(), 1e-6);
            MostlyNear(start.Parts[0].Materialize(), plain.Parts[0].Materialize());
            var x = golden["in.W1"];
            start.Apply(x).ShouldBeNear(x.mm((start.Parts[0].Materialize() + b.mm(a) * (alpha / Rank)).mT), 1e-5);
        }

        Expression Start(double alpha)
        {
            var step = Lq();
            (step.LoraAlpha, step.Iterations) = (alpha, 1);
            return SolverCatalog.For(step).Solve(new("fc", new Dense(weight.clone()), null, new LayerStatistics { FisherDiagonal = fisher }, 0), step).Weight;
        }
    }

    [Fact]
    public void Errors_and_bits_of_each_configuration_equal_the_reference()
    {
        var (costs, bits) = (golden["out.ilp.costs"], golden["out.ilp.weights"]);
        for (int matrix = 0; matrix < costs.shape[0]; matrix++)
        {
            var w = golden[$"in.W{matrix}"];
            double energy = w.to(float64).square().sum().item<double>();
            for (int i = 0; i < Configurations.Count; i++)
            {
                using var stored = LowRankPlusQuantized.Round(w, Configurations[i]);
                (8.0 * (stored.Bytes - (4 << Configurations[i].Bits) - 4)).ShouldBe(bits[matrix, i].item<double>());
                (MatrixChecks.WeightedError(w, stored.Materialize(), null) * energy).ShouldBeNear(costs[matrix, i].item<double>(), 1e-3);
            }
        }
    }

    [Fact]
    public void The_programme_gives_each_matrix_one_configuration_within_budget_at_the_least_cost_there_is()
    {
        foreach (string name in Budgets)
        {
            var allocation = BudgetAllocator.Allocate(Programme(), Bits(golden.Number("ilp." + name)));
            allocation.Choices.Count.ShouldBe(Programme().Count);
            allocation.Cost.ShouldBeLessThanOrEqualTo(Bits(golden.Number("ilp." + name)));
            allocation.IsOptimal.ShouldBeTrue();
            allocation.Distortion.ShouldBeNear(golden.Scalar($"out.ilp.{name}.best_cost"), 1e-9);
            allocation.Distortion.ShouldBeNear(OrTools.LeastDistortion(Programme(), Bits(golden.Number("ilp." + name))).ShouldNotBeNull(), 1e-9);
            allocation.LowerBound.ShouldBeLessThanOrEqualTo(allocation.Distortion * (1 + 1e-12));
            long[] published = [.. golden[$"out.ilp.{name}.assignment"].data<long>()];
            published.Select((choice, matrix) => Programme()[matrix][(int)choice].Distortion).Sum().ShouldBeNear(allocation.Distortion, 1e-9);
        }
    }

    [Fact]
    public void A_larger_budget_never_costs_more_and_the_largest_gives_each_matrix_its_best_configuration()
    {
        var programme = Programme();
        double before = double.PositiveInfinity;
        long most = programme.Sum(options => options.Max(option => option.Cost));
        for (long bits = BudgetAllocator.SmallestBudget(programme); bits <= most; bits += most / 97)
        {
            double now = BudgetAllocator.Allocate(programme, bits).Distortion;
            now.ShouldBeLessThanOrEqualTo(before * (1 + 1e-12));
            before = now;
        }

        BudgetAllocator.Allocate(programme, most).Distortion.ShouldBeNear(programme.Sum(options => options.Min(option => option.Distortion)), 1e-12);
    }

    [Fact]
    public void A_budget_below_every_configuration_is_refused_with_the_smallest_there_is()
    {
        long smallest = BudgetAllocator.SmallestBudget(Programme());
        BudgetAllocator.Allocate(Programme(), smallest).Cost.ShouldBe(smallest);
        Should.Throw<ArgumentOutOfRangeException>(() => BudgetAllocator.Allocate(Programme(), smallest - 1)).Message.ShouldContain($"the smallest attainable budget is {smallest}");
        OrTools.LeastDistortion(Programme(), smallest - 1).ShouldBeNull();
    }

    [Fact]
    public void Matrices_in_another_order_get_the_same_configurations()
    {
        foreach (string name in Budgets)
        {
            long bits = Bits(golden.Number("ilp." + name));
            var forward = BudgetAllocator.Allocate(Programme(), bits);
            var backward = BudgetAllocator.Allocate([.. Programme().Reverse()], bits);
            backward.Choices.Reverse().ShouldBe(forward.Choices);
        }
    }

    private static string Prefix(bool weighted) => weighted ? "out.lq.fisher." : "out.lq.plain.";

    private static (Grid Codes, Grid Scales) Parts(Expression stored)
    {
        var grid = stored.ShouldBeOfType<Reshaped>().Inner.ShouldBeOfType<Grid>();
        return (grid, grid.Scales.ShouldBeOfType<Grid>());
    }

    private static void MostlySame(Tensor actual, Tensor expected, double share)
    {
        var apart = (actual.reshape(-1).to(int64) - expected.reshape(-1).to(int64)).abs();
        apart.max().item<long>().ShouldBeLessThanOrEqualTo(1);
        apart.to(float64).mean().item<double>().ShouldBeLessThanOrEqualTo(share);
    }

    /// <summary>All but a few values, whose codes rounding order decides.</summary>
    private static void MostlyNear(Tensor actual, Tensor expected)
    {
        actual.shape.ShouldBe(expected.shape);
        ((actual - expected).abs() > 1e-4 * expected.abs().max()).to(float64).mean().item<double>().ShouldBeLessThanOrEqualTo(0.002);
    }

    private static LqLora Step(int bits, int scaleBits, RealType scaleType, int blockSize, int scaleBlock) =>
        new() { Bits = bits, ScaleBits = scaleBits, ScaleType = scaleType, BlockSize = blockSize, ScaleBlock = scaleBlock };

    private static RealType Type(string name) => name switch { "bf16" => RealType.Bfloat16, "fp16" => RealType.Float16, _ => RealType.Float32 };

    private LqLora Configuration(string name)
    {
        var setting = JsonDocument.Parse(golden.Setting(name)).RootElement;
        int Number(string key) => setting.GetProperty(key).GetInt32();
        return Step(Number("num_bits"), Number("num_bits_0"), Type(setting.GetProperty("num_bits_1").GetString()!), Number("block_size_0"), Number("block_size_1"));
    }

    private LqLora Lq()
    {
        var step = Configuration("lq.qconfig");
        (step.Rank, step.Iterations) = (Rank, golden.Integer("num_iterations"));
        return step;
    }

    /// <summary>Costs in bits, distortions as the reference has them.</summary>
    private IReadOnlyList<IReadOnlyList<AllocationOption>> Programme()
    {
        var (costs, bits) = (golden["out.ilp.costs"], golden["out.ilp.weights"]);
        return [.. Enumerable.Range(0, (int)costs.shape[0]).Select(matrix => (IReadOnlyList<AllocationOption>)[.. costs[matrix].data<double>().Zip(bits[matrix].data<double>(), (cost, weight) => new AllocationOption((long)weight, cost))])];
    }

    private long Bits(double perWeight) => (long)Math.Floor(perWeight * Enumerable.Range(0, Programme().Count).Sum(matrix => golden[$"in.W{matrix}"].numel()));

    private LowRankPlusQuantized Decompose(bool weighted, Parity parity) => Decompose(weighted, parity, weight);

    private LowRankPlusQuantized Decompose(bool weighted, Parity parity, Tensor matrix)
    {
        var step = Lq();
        step.Parity = parity;
        return LowRankPlusQuantized.Of(matrix, weighted ? fisher : null, step, 0);
    }

    /// <summary>‖√F (W − Q − L₁ L₂)‖ of each turn.</summary>
    private double[] Norms(IReadOnlyList<double> errors, bool weighted)
    {
        double energy = (weight.to(float64).square() * (weighted ? fisher.to(float64) : 1)).sum().item<double>();
        return [.. errors.Select(error => Math.Sqrt(error * energy))];
    }
}
