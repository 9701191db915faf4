using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Weights;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class PowerQuantTests
{
    private const int Rows = 6;
    private const int Columns = 18;

    public static TheoryData<string, PowerQuant> Steps => new()
    {
        { "channel", new() },
        { "tensor, float32", new() { Granularity = Granularity.Tensor, ScaleType = ScaleType.Float32 } },
        { "groups that do not divide the width", new() { Bits = 3, Granularity = Granularity.Group, GroupSize = 7 } },
        { "8 bits", new() { Bits = 8 } },
        { "2 bits", new() { Bits = 2 } },
        { "given exponent", new() { Exponent = 0.5 } },
        { "another norm", new() { Norm = 3 } },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_stored_weight_has_the_error_and_bytes_that_were_promised(string name, PowerQuant step)
    {
        name.ShouldNotBeEmpty();
        using var scope = NewDisposeScope();
        var dense = Forms.Dense(Rows, Columns);
        var solution = Solve(dense, step);
        var grid = solution.Weight.ShouldBeOfType<Grid>();
        var shape = new LayerShape(LayerKinds.Linear, Rows, Columns);
        grid.Bytes.ShouldBe(step.Predict(shape, [new(Rows, Columns, 0)]).Sum(cost => cost.Bytes));
        solution.Facts["bitsPerWeight"].ShouldBeNear(8.0 * grid.Bytes / (Rows * Columns), 1e-12);
        double error = Math.Pow((grid.Materialize() - dense.Matrix).to(float64).abs().pow(step.Norm).sum().item<double>(), 1 / step.Norm);
        error.ShouldBeNear(solution.Facts["gridError"], 1e-4);
        if (step.Exponent == 0)
        {
            solution.Facts["gridError"].ShouldBeLessThanOrEqualTo(solution.Facts["uniformGridError"]);
        }
        else
        {
            solution.Facts["exponent"].ShouldBe(step.Exponent);
        }
    }

    [Fact]
    public void Every_matrix_of_a_product_has_its_own_exponent()
    {
        using var scope = NewDisposeScope();
        var product = new Product(Forms.Dense(Rows, 4), Forms.Dense(4, Columns));
        var solution = Solve(product, new PowerQuant());
        var stored = solution.Weight.ShouldBeOfType<Product>();
        stored.Left.ShouldBeOfType<Grid>();
        solution.Facts["exponent"].ShouldNotBe(solution.Facts["exponent.1"]);
        using var left = new PowerGrid(((Dense)product.Left).Matrix, new PowerQuant(), float16);
        using var expected = left.Store(left.Codes(solution.Facts["exponent"]), solution.Facts["exponent"]);
        Compare.SameBits(stored.Left.Materialize(), expected.Materialize()).ShouldBeTrue();
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Bell_shaped_weights_want_a_small_exponent_and_flat_ones_a_uniform_grid(int bits)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(11);
        Best(randn(16, 1024, dtype: float64, generator: generator), bits).ShouldBeInRange(0.6, 0.8);
        Best((rand(16, 1024, dtype: float64, generator: generator) * 2) - 1, bits).ShouldBeInRange(0.93, 1.07);
    }

    [Fact]
    public void Two_bits_have_the_same_levels_for_every_exponent_and_no_gain_over_a_uniform_grid()
    {
        using var scope = NewDisposeScope();
        var step = new PowerQuant { Bits = 2 };
        using var grid = new PowerGrid(Forms.Random([Rows, Columns]), step, float64);
        var codes = grid.Codes(1);
        codes.abs().max().item<double>().ShouldBe(1);
        Compare.SameBits(grid.Dequantize(codes, 0.3), grid.Dequantize(codes, 1.1)).ShouldBeTrue();
        PowerExponent.Search(a => grid.Error(a, 2), 0.2, 1.2).Error.ShouldBeNear(grid.Error(1, 2), 1e-12);
    }

    [Fact]
    public void Of_equally_good_exponents_the_smallest_wins()
    {
        var flat = PowerExponent.Search(_ => 1, 0.2, 1.2);
        flat.Value.ShouldBe(0.2 - 0.01);
        PowerExponent.Search(a => Math.Abs(a - 0.7341), 0.2, 1.2).Value.ShouldBe(0.7341, 1e-4);
    }

    [Fact]
    public void Zeros_constants_and_tiny_rows_are_no_obstacle()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([Rows, Columns]);
        weight[0] = 0;
        weight[1] = -3;
        weight[2] *= 1e-9;
        var stored = Solve(new Dense(weight), new PowerQuant { Bits = 5 }).Weight.Materialize();
        stored[0].abs().max().item<float>().ShouldBe(0);
        stored[1].eq(-3).all().item<bool>().ShouldBeTrue();
        stored.isfinite().all().item<bool>().ShouldBeTrue();
        Solve(new Dense(zeros(3, 4)), new PowerQuant()).Weight.Materialize().abs().max().item<float>().ShouldBe(0);
    }

    [Fact]
    public void Weights_that_hold_no_numbers_or_do_not_fit_are_refused()
    {
        var broken = Forms.Random([Rows, Columns]);
        broken[1, 1] = float.PositiveInfinity;
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(broken), new PowerQuant())).Message.ShouldBe("the weight holds infinity");
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(ones(2, 2) * 1e6), new PowerQuant())).Message.ShouldContain("scaleType: float32");
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var dense = Forms.Dense(Rows, Columns);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var (first, second) = (Solve(dense, new PowerQuant()), Solve(dense, new PowerQuant()));
        first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
        first.Release();
        second.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    private static double Best(Tensor weight, int bits)
    {
        using var grid = new PowerGrid(weight, new PowerQuant { Bits = bits }, float64);
        return PowerExponent.Search(a => grid.Error(a, 2), 0.2, 1.2).Value;
    }

    private static LayerSolution Solve(Expression weight, Step step) => SolverCatalog.For(step).Solve(new LayerProblem("fc", weight, null, LayerStatistics.None, 0), step);
}
