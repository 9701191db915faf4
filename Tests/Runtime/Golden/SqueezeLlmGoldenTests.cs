using System.Globalization;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Packing;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>SqueezeLLM against the published outlier and packing code and an independent dynamic programme.</summary>
[Trait("Category", "Golden")]
public sealed class SqueezeLlmGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("squeezellm");
    private readonly Tensor weight;
    private readonly Tensor fisher;
    private readonly Tensor dense;
    private readonly Tensor masses;

    public SqueezeLlmGoldenTests()
    {
        weight = golden["in.weight"];
        fisher = golden["in.fisher"];
        dense = golden["out.dense_after_removal"];
        masses = fisher.to(float64) * (dense != 0);
    }

    private IReadOnlyList<int> AllBits => [.. golden.Variants("out.b").Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name, CultureInfo.InvariantCulture))];

    [Fact]
    public void The_fisher_diagonal_is_the_sum_of_squared_gradients()
    {
        var gradients = golden["in.grad_samples"];
        using var accumulator = new FisherAccumulator(gradients.shape[1], gradients.shape[2], diagonal: true);
        for (long sample = 0; sample < gradients.shape[0]; sample++)
        {
            accumulator.Add(gradients[sample]);
        }

        accumulator.Diagonal!.ShouldBeNear(golden[golden.Names.Single(name => name.StartsWith("out.fisher_of_grad_samples", StringComparison.Ordinal))], 1e-6);
    }

    [Fact]
    public void The_same_weights_are_kept_as_in_the_published_code()
    {
        var kept = Kept();
        kept.Threshold.ShouldBeNear(golden.Scalar("out.threshold"), 1e-6);
        kept.Sensitive.ShouldBe((long)golden.Scalar("out.num_sensitive"));
        weight.masked_fill(kept.Mask, 0).eq(dense).all().item<bool>().ShouldBeTrue();
        (weight * kept.Mask).eq(golden["out.sparse_original_values"]).all().item<bool>().ShouldBeTrue();
        foreach (int bits in AllBits)
        {
            using var sparse = Sparse.Of(weight, kept.Mask, float32);
            sparse.Offsets.data<int>().ShouldBe(golden[$"out.b{bits}.csr_rows"].data<int>());
            sparse.Indices.to(int32).data<int>().ShouldBe(golden[$"out.b{bits}.csr_cols"].data<int>());
        }
    }

    [Fact]
    public void Lloyds_iteration_goes_from_the_given_start_to_the_given_end()
    {
        foreach (int bits in AllBits)
        {
            var end = golden[$"in.b{bits}.lloyd_init"];
            var costs = golden[$"out.b{bits}.lloyd_cost_first_last"];
            for (int row = 0; row < end.shape[0]; row++)
            {
                var centroids = MemoryMarshal.Cast<byte, double>(end[row].bytes);
                var line = Line(row);
                line.Cost(centroids).ShouldBeNear(costs[row, 0].item<double>(), 1e-9);
                line.Refine(centroids, golden.Integer("lloyd_max_iter"));
                line.Cost(centroids).ShouldBeNear(costs[row, 1].item<double>(), 1e-9);
            }

            end.ShouldBeNear(golden[$"out.b{bits}.lloyd_centroids"], 1e-9);
            RowTables.Assign(dense, end).to(uint8).eq(golden[$"out.b{bits}.lloyd_labels"]).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void The_exact_tables_equal_the_optimum_and_cost_no_more_than_any_iteration()
    {
        foreach (int bits in AllBits)
        {
            var tables = Exact(bits, masses);
            tables.ShouldBeNear(golden[$"out.b{bits}.optimal_centroids"], 1e-9);
            RowTables.Assign(dense, tables).to(uint8).eq(golden[$"out.b{bits}.optimal_labels"]).all().item<bool>().ShouldBeTrue();
            var costs = Costs(tables);
            costs.ShouldBeNear(golden[$"out.b{bits}.optimal_cost"], 1e-9);
            foreach (var bar in new[] { golden[$"out.b{bits}.sklearn_cost"], golden[$"out.b{bits}.lloyd_cost_first_last"].select(1, 1), Costs(Iterated(bits)) })
            {
                (costs <= bar * (1 + 1e-12)).all().item<bool>().ShouldBeTrue();
            }
        }
    }

    [Fact]
    public void Centroids_are_means_of_their_members_and_no_other_label_costs_less()
    {
        foreach (int bits in AllBits)
        {
            var tables = Exact(bits, masses);
            var codes = RowTables.Assign(dense, tables).to(int64);
            var points = dense.to(float64);
            var mass = zeros_like(tables).scatter_add_(1, codes, masses);
            var moment = zeros_like(tables).scatter_add_(1, codes, masses * points);
            var used = mass > 0;
            (tables * used).ShouldBeNear(where(used, moment / mass, zeros_like(mass)), 1e-10);
            var distances = (points.unsqueeze(-1) - tables.unsqueeze(1)).square();
            (distances.gather(2, codes.unsqueeze(-1)) <= distances).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void Kept_weights_are_restored_and_the_product_equals_the_reference()
    {
        foreach (int bits in AllBits)
        {
            var solution = Solve(Step(bits));
            var restored = solution.Weight.Materialize();
            restored.ShouldBeNear(golden[$"out.b{bits}.weight_hat"], 2e-7);
            var kept = Kept().Mask;
            ((restored - weight) * kept).abs().max().item<float>().ShouldBeLessThanOrEqualTo(2e-7f * weight.abs().max().item<float>());
            solution.Weight.Apply(golden["in.x"]).ShouldBeNear(golden[$"out.b{bits}.y"], 1e-6);
            solution.Facts["keptWeights"].ShouldBe(kept.sum().item<long>());
            Compare.SameBits(solution.Weight.Parts[0].ShouldBeOfType<Codebook>().Tables.squeeze(-1), golden[$"out.b{bits}.lookup_table"]).ShouldBeTrue();
            solution.Weight.Parts[1].ShouldBeOfType<Sparse>().Values.ShouldBeNear(golden[$"out.b{bits}.csr_vals"], 1e-7);
        }
    }

    [Fact]
    public void Packed_words_equal_those_of_the_published_code()
    {
        foreach (int bits in AllBits)
        {
            var (rows, columns) = ((int)weight.shape[0], (int)weight.shape[1]);
            byte[] codes = [.. golden[$"out.b{bits}.optimal_labels"].data<byte>()];
            var words = golden[$"out.b{bits}.qweight"];
            SqueezeLlmPacking.Pack(codes, rows, columns, bits).ShouldBe([.. words.data<int>()]);
            SqueezeLlmPacking.Unpack([.. words.data<int>()], rows, columns, bits).ShouldBe(codes);
            var solved = (Codebook)Solve(Step(bits)).Weight.Parts[0];
            solved.Indices().to(uint8).data<byte>().ShouldBe(codes);
        }
    }

    [Fact]
    public void Equal_weights_give_plain_means_and_scaled_ones_the_same_codes()
    {
        foreach (int bits in AllBits)
        {
            var present = dense != 0;
            Exact(bits, present * 0.37).ShouldBeNear(Exact(bits, present), 1e-12);
            Compare.SameBits(RowTables.Assign(dense, Exact(bits, masses * 1e6)), RowTables.Assign(dense, Exact(bits, masses))).ShouldBeTrue();
        }
    }

    [Fact]
    public void The_weighted_error_is_below_that_of_rounding_and_falls_with_bits()
    {
        double before = double.PositiveInfinity;
        for (int bits = 2; bits <= 8 && 1 << bits < weight.shape[1]; bits++)
        {
            var facts = Solve(Step(bits)).Facts;
            facts["weightedError"].ShouldBeLessThan(facts["roundToNearestError"]);
            facts["weightedError"].ShouldBeLessThan(before);
            before = facts["weightedError"];
        }
    }

    [Fact]
    public void Without_a_share_and_a_range_nothing_is_kept()
    {
        KeptWeights.BeyondRange(weight, fisher, 0, double.PositiveInfinity).Mask.any().item<bool>().ShouldBeFalse();
        Solve(new SqueezeLlm { SparseFraction = 0 }).Weight.ShouldBeOfType<Codebook>();
    }

    private SqueezeLlm Step(int bits) => new()
    {
        Bits = bits,
        SensitiveFraction = golden.Number("sensitivity_percent") / 100,
        OutlierRange = golden.Number("iqr_range"),
        TableType = ScaleType.Float32,
        Parity = Parity.Official,
    };

    private KeptWeights Kept()
    {
        var step = Step(3);
        return KeptWeights.BeyondRange(weight, fisher, SqueezeLlm.CountOf(step.SensitiveFraction, weight.numel()), step.OutlierRange);
    }

    private LayerSolution Solve(SqueezeLlm step) => SolverCatalog.For(step).Solve(new("fc", new Dense(weight.clone()), null, new LayerStatistics { FisherDiagonal = fisher }, 0), step);

    private Tensor Exact(int bits, Tensor weights) => RowTables.Fit(dense, weights, 1 << bits, new SqueezeLlm());

    private Tensor Iterated(int bits) => RowTables.Fit(dense, masses, 1 << bits, new SqueezeLlm { Solver = TableSolver.Lloyd });

    private WeightedLine Line(int row)
    {
        var line = new WeightedLine((int)dense.shape[1]);
        line.Load(dense[row].to(float64).data<double>().ToArray(), masses[row].data<double>().ToArray());
        return line;
    }

    private Tensor Costs(Tensor tables) => (masses * (dense.to(float64) - tables.gather(1, RowTables.Assign(dense, tables).to(int64))).square()).sum(1);
}
