using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

/// <summary>What AWQ, HQQ and NormalFloat have in common.</summary>
public sealed class WeightOnlyTests
{
    private static readonly Dictionary<string, Step> Steps = new()
    {
        ["awq"] = new Awq { Bits = 3, GroupSize = 5 },
        ["awq, channels, not clipped"] = new Awq { Bits = 4, Granularity = Granularity.Channel, Clip = false, ScaleType = ScaleType.Float32 },
        ["hqq"] = new Hqq { Bits = 3, GroupSize = 5 },
        ["hqq, channels"] = new Hqq { Bits = 4, Granularity = Granularity.Channel, ScaleType = ScaleType.Float32 },
        ["normalFloat"] = new NormalFloat { BlockSize = 7 },
        ["normalFloat, 3 bits, plain scales"] = new NormalFloat { Bits = 3, BlockSize = 16, DoubleQuantization = false },
    };

    public static TheoryData<string> Names => [.. Steps.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Bytes_are_predicted_and_the_stored_form_is_read_back(string name)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 18, LayerProblems.Inputs(18));
        var solution = Solve(problem, name);
        solution.Weight.Bytes.ShouldBe(Steps[name].Predict(problem.Shape, [new(24, 18, 24 * 18 * 4)]).Sum(cost => cost.Bytes));
        using var copy = Expression.Read(solution.Weight.Describe(), Weights.ExpressionTests.Leaves(solution.Weight));
        Compare.SameBits(copy.Materialize(), solution.Weight.Materialize()).ShouldBeTrue();
        solution.Release();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_error_is_small_and_the_same_each_time_and_nothing_stays_alive(string name)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 18, LayerProblems.Inputs(18));
        var (first, second) = (Solve(problem, name), Solve(problem, name));
        Compare.SameBits(first.Weight.Materialize(), second.Weight.Materialize()).ShouldBeTrue();
        var original = problem.Weight.Materialize().to(float64);
        ((first.Weight.Materialize() - original).norm() / original.norm()).item<double>().ShouldBeInRange(0.001, 0.2);
        first.Release();
        second.Release();
        Formats.TensorCount.GrowthOf(() => Solve(problem, name).Release()).ShouldBe(0);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Constant_and_zero_rows_survive(string name)
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(6, 10).to(float32);
        weight[1] = 0;
        weight[2] = 0.75f;
        var problem = new LayerProblem("fc", new Dense(weight.clone()), null, LayerProblems.Collect(6, LayerProblems.Inputs(10)), 0);
        var solution = Solve(problem, name);
        var stored = solution.Weight.Materialize();
        stored.isfinite().all().item<bool>().ShouldBeTrue();
        if (!name.StartsWith("normalFloat", StringComparison.Ordinal))
        {
            stored[1].abs().max().item<float>().ShouldBeLessThan(1e-3f);
            (stored[2] - 0.75f).abs().max().item<float>().ShouldBeLessThan(0.1f);
        }

        solution.Release();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Factors_are_quantised_in_place(string name)
    {
        using var scope = NewDisposeScope();
        var problem = new LayerProblem("fc", new Product(new Dense(LayerProblems.Weight(16, 6)), new Dense(LayerProblems.Weight(6, 20))), null, LayerProblems.Collect(16, LayerProblems.Inputs(20)), 0);
        var solution = Solve(problem, name);
        solution.Weight.ShouldBeOfType<Product>().Parts.ShouldAllBe(part => !(part is Dense));
        solution.Release();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_weight_with_infinity_is_refused(string name)
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(6, 10);
        weight[0, 0] = double.PositiveInfinity;
        var problem = new LayerProblem("fc", new Dense(weight.clone()), null, LayerProblems.Collect(6, LayerProblems.Inputs(10)), 0);
        Should.Throw<InvalidOperationException>(() => Solve(problem, name)).Message.ShouldContain("infinity");
    }

    [Fact]
    public void Awq_and_hqq_lose_less_than_rounding_to_nearest()
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(64);
        inputs[TensorIndex.Ellipsis, TensorIndex.Slice(0, 64, 16)] *= 20;
        var problem = LayerProblems.Make(48, 64, inputs);
        var step = new Awq { Bits = 3, GroupSize = 32 };
        var awq = SolverCatalog.For(step).Solve(problem, step);
        awq.Facts["weightedError"].ShouldBeLessThan(awq.Facts["weightedErrorNearest"]);
        awq.Release();
        var heavy = new LayerProblem("fc", new Dense(LayerProblems.Weight(48, 64).pow(3).to(float32)), null, problem.Statistics, 0);
        var hqq = Solve(heavy, "hqq");
        var nearest = RoundToNearest.Store(heavy.Weight.Materialize(), new Quantize { Bits = 3, GroupSize = 5, Symmetric = false }).Materialize();
        (hqq.Weight.Materialize() - heavy.Weight.Materialize()).abs().pow(0.7).sum().item<float>()
            .ShouldBeLessThan((nearest - heavy.Weight.Materialize()).abs().pow(0.7).sum().item<float>());
        hqq.Release();
    }

    [Fact]
    public void Hqq_tells_of_groups_that_are_narrower_than_its_smallest_step()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 18, LayerProblems.Inputs(18));
        var solution = Solve(problem with { Weight = new Dense(problem.Weight.Materialize() * 1e-5) }, "hqq");
        solution.Notes.ShouldHaveSingleItem().ShouldContain("cannot tell them apart");
        solution.Release();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(8)]
    public void Levels_of_any_bits_are_ascending_from_minus_one_through_zero_to_one(int bits)
    {
        using var scope = NewDisposeScope();
        float[] levels = NormalFloatLevels.Of(bits).data<float>().ToArray();
        levels.Length.ShouldBe(1 << bits);
        levels.ShouldBe(levels.Order().Distinct());
        (levels[0], levels[^1], levels[(levels.Length / 2) - 1]).ShouldBe((-1, 1, 0));
    }

    private static LayerSolution Solve(LayerProblem problem, string name) => SolverCatalog.For(Steps[name]).Solve(problem, Steps[name]);
}
