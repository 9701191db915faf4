using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class GptqTests
{
    public static TheoryData<string, Gptq> Steps => new()
    {
        { "groups", new Gptq { Bits = 3, GroupSize = 5 } },
        { "groups in the order of rounding", new Gptq { Bits = 3, GroupSize = 5, StaticGroups = false } },
        { "groups longer than a block, natural order", new Gptq { Bits = 3, GroupSize = 7, BlockSize = 3, ActivationOrder = false, StaticGroups = false } },
        { "channels, asymmetric", new Gptq { Bits = 4, Granularity = Granularity.Channel, Symmetric = false } },
        { "one scale", new Gptq { Bits = 5, Granularity = Granularity.Tensor, ScaleType = ScaleType.Float32 } },
        { "searched ranges", new Gptq { Bits = 2, GroupSize = 8, Symmetric = false, SearchRange = true } },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_error_is_at_most_that_of_rounding_to_nearest_and_the_bytes_are_predicted(string name, Gptq step)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 18, LayerProblems.Inputs(18));
        var solution = new GptqSolver().Solve(problem, step);
        solution.Facts["weightedError"].ShouldBeLessThanOrEqualTo(solution.Facts["weightedErrorNearest"], name);
        solution.Weight.Bytes.ShouldBe(step.Predict(problem.Shape, [new(24, 18, 24 * 18 * 4)]).Sum(cost => cost.Bytes), name);
        using var copy = Expression.Read(solution.Weight.Describe(), Weights.ExpressionTests.Leaves(solution.Weight));
        Compare.SameBits(copy.Materialize(), solution.Weight.Materialize()).ShouldBeTrue();
        solution.Release();
    }

    [Fact]
    public void A_diagonal_second_moment_rounds_to_nearest()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(6, 16);
        var settings = new GptqSettings(new GridGeometry(6, 16, 4, false, Granularity.Group, 8), float64, 0.01, 128, false, true);
        var nearest = RoundToNearest.Of(weight, settings.Grid, float64);
        GptqRounding.Of(weight, eye(16, dtype: float64) * linspace(1, 4, 16, dtype: float64), settings).Codes.eq(nearest.Codes).all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void Silent_inputs_get_the_code_of_zero()
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(12);
        inputs[TensorIndex.Ellipsis, 3] = 0;
        var problem = LayerProblems.Make(8, 12, inputs);
        var solution = new GptqSolver().Solve(problem, new Gptq { GroupSize = 4 });
        solution.Weight.Materialize()[TensorIndex.Colon, 3].abs().max().item<float>().ShouldBe(0);
        solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorNearest"]);
        solution.Release();
    }

    [Fact]
    public void Fewer_tokens_than_features_work()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(8, 40, LayerProblems.Inputs(40, tokens: 2));
        var solution = new GptqSolver().Solve(problem, new Gptq { Bits = 3, GroupSize = 8 });
        solution.Facts["weightedError"].ShouldBeLessThan(0.5 * solution.Facts["weightedErrorNearest"]);
        solution.Release();
    }

    [Fact]
    public void A_second_moment_with_a_negative_eigenvalue_raises_the_damping()
    {
        using var scope = NewDisposeScope();
        var hessian = eye(6, dtype: float64);
        hessian[0, 1] = hessian[1, 0] = 1.3;
        var settings = new GptqSettings(new GridGeometry(4, 6, 4, true, Granularity.Channel, 1), float64, 0.01, 128, false, false);
        var rounding = GptqRounding.Of(LayerProblems.Weight(4, 6), hessian, settings);
        rounding.Damping.ShouldBe(1, 1e-12);
        rounding.Dequantize().isfinite().all().item<bool>().ShouldBeTrue();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Inputs_that_are_all_zero_round_to_nearest_with_a_note(bool staticGroups)
    {
        using var scope = NewDisposeScope();
        var problem = new LayerProblem("fc", new Dense(LayerProblems.Weight(5, 8).to(float32)), null, LayerProblems.Silent(5, 8), 0);
        var step = new Gptq { GroupSize = 4, StaticGroups = staticGroups };
        var solution = new GptqSolver().Solve(problem, step);
        solution.Weight.Bytes.ShouldBe(step.Predict(problem.Shape, [new(5, 8, 5 * 8 * 4)]).Sum(cost => cost.Bytes));
        solution.Notes.ShouldHaveSingleItem().ShouldContain("all zero");
        solution.Facts["weightedError"].ShouldBe(0);
        solution.Release();
    }

    [Fact]
    public void A_weight_with_NaN_is_refused()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(5, 8);
        weight[0, 0] = double.NaN;
        var problem = new LayerProblem("fc", new Dense(weight), null, LayerProblems.Collect(5, LayerProblems.Inputs(8)), 0);
        Should.Throw<InvalidOperationException>(() => new GptqSolver().Solve(problem, new Gptq { GroupSize = 4 })).Message.ShouldContain("NaN");
    }

    [Fact]
    public void Factors_are_rounded_with_the_inputs_that_reach_them()
    {
        using var scope = NewDisposeScope();
        var inputs = LayerProblems.Inputs(20);
        var problem = new LayerProblem("fc", new Product(new Dense(LayerProblems.Weight(16, 6)), new Dense(LayerProblems.Weight(6, 20))), null, LayerProblems.Collect(16, inputs), 0);
        var solution = new GptqSolver().Solve(problem, new Gptq { Bits = 4, GroupSize = 8 });
        solution.Weight.ShouldBeOfType<Product>().Left.ShouldBeOfType<Grid>();
        solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorNearest"]);
        solution.Release();
    }

    [Fact]
    public void The_factors_of_a_spatial_convolution_are_rounded_with_the_inputs_of_each_column()
    {
        using var scope = NewDisposeScope();
        const long Channels = 4, Height = 3, Width = 2, Rows = 6;
        var factors = new Product(new Dense(LayerProblems.Weight(Rows * Width, 5)), new Dense(LayerProblems.Weight(5, Channels * Height)));
        var problem = new LayerProblem("conv", new SpatialKernel(factors, Height, Width), null, LayerProblems.Collect(Rows, LayerProblems.Inputs(Channels * Height * Width)), 0);
        var solution = new GptqSolver().Solve(problem, new Gptq { Bits = 3, GroupSize = 4 });
        solution.Weight.ShouldBeOfType<SpatialKernel>().Inner.ShouldBeOfType<Product>().Parts.ShouldAllBe(part => part is Grid);
        solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorNearest"]);
        solution.Release();
    }

    [Fact]
    public void Rounding_to_nearest_is_kept_where_it_is_better()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(1, 6, LayerProblems.Inputs(6));
        var (found, nearest) = (new Dense(zeros(1, 6)), new Dense(problem.Weight.Materialize()));
        var solution = NearestChoice.Of(problem, found, nearest, problem.Statistics.InputMoments!.Gram, [], []);
        solution.Weight.ShouldBeSameAs(nearest);
        solution.Notes.ShouldHaveSingleItem().ShouldContain("rounding to nearest");
        solution.Facts["weightedError"].ShouldBe(0);
        solution.Release();
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 18, LayerProblems.Inputs(18));
        LayerSolution Solve() => new GptqSolver().Solve(problem, new Gptq { Bits = 3, GroupSize = 5, StaticGroups = false });
        var (first, second) = (Solve(), Solve());
        Compare.SameBits(first.Weight.Materialize(), second.Weight.Materialize()).ShouldBeTrue();
        first.Release();
        second.Release();
        Formats.TensorCount.GrowthOf(() => Solve().Release()).ShouldBe(0);
    }
}
