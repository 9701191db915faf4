using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Weights;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class RoundToNearestTests
{
    public static TheoryData<int, bool, Granularity> Grids => new MatrixTheoryData<int, bool, Granularity>([2, 3, 4, 5, 6, 7, 8], [true, false], Enum.GetValues<Granularity>());

    [Theory]
    [MemberData(nameof(Grids))]
    public void No_value_moves_by_more_than_half_a_step(int bits, bool symmetric, Granularity granularity)
    {
        using var scope = NewDisposeScope();
        foreach (var scaleType in Enum.GetValues<ScaleType>())
        {
            var step = new Quantize { Bits = bits, Symmetric = symmetric, Granularity = granularity, GroupSize = 4, ScaleType = scaleType };
            var dense = Forms.Dense(6, 11);
            var grid = Solve(dense, step).Weight.ShouldBeOfType<Grid>();
            var scales = grid.Scales.Materialize().to(float64);
            var spread = scales.repeat_interleave(grid.Geometry.GroupLength, 1).narrow(1, 0, 11);

            // A scale rounded down to its dtype can leave the ends of the range outside the grid by this share of a step.
            double slack = scaleType == ScaleType.Float16 ? Math.Pow(2, bits - 11) : Math.Pow(2, bits - 23);
            ((grid.Dequantize() - dense.Matrix).abs() <= spread * (0.5 + slack)).all().item<bool>().ShouldBeTrue();
            grid.Bytes.ShouldBe(step.BytesFor(6, 11));
        }
    }

    [Fact]
    public void More_bits_never_do_worse()
    {
        using var scope = NewDisposeScope();
        var dense = Forms.Dense(16, 64);
        double before = double.PositiveInfinity;
        for (int bits = 2; bits <= 8; bits++)
        {
            double error = Solve(dense, new Quantize { Bits = bits }).Facts["relativeError"];
            error.ShouldBeLessThan(before);
            before = error;
        }
    }

    [Fact]
    public void Ties_go_to_the_even_code_and_zero_groups_have_a_scale_of_one()
    {
        using var scope = NewDisposeScope();
        var weight = tensor(new[] { 7f, 0.5f, 1.5f, -2.5f, 0f, 0f, 0f, 0f }).reshape(2, 4);
        var result = RoundToNearest.Of(weight, new GridGeometry(2, 4, 4, true, Granularity.Channel, 1), float16);
        result.Codes.data<short>().ToArray().ShouldBe([7, 0, 2, -2, 0, 0, 0, 0]);
        result.Scales.to(float32).data<float>().ToArray().ShouldBe([1, 1]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Zero_is_represented_exactly(bool symmetric)
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([5, 9]).abs() + 1;
        weight[2, 3] = 0;
        var grid = (Grid)Solve(new Dense(weight.clone()), new Quantize { Bits = 3, Symmetric = symmetric, GroupSize = 4 }).Weight;
        grid.Dequantize()[2, 3].item<float>().ShouldBe(0);
    }

    [Fact]
    public void Codes_are_computed_with_the_stored_scale()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([8, 32]);
        var geometry = new GridGeometry(8, 32, 8, true, Granularity.Group, 16);
        var result = RoundToNearest.Of(weight, geometry, float16);
        var spread = result.Scales.to(float64).repeat_interleave(16, 1);
        result.Codes.to(float64).eq((weight.to(float64) / spread).round().clamp(-128, 127)).all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void Every_factor_of_a_low_rank_weight_is_quantised_for_itself()
    {
        using var scope = NewDisposeScope();
        var step = new Quantize { GroupSize = 4 };
        var weight = Solve(new Product(Forms.Dense(12, 5), Forms.Dense(5, 9)), step).Weight.ShouldBeOfType<Product>();
        weight.Left.ShouldBeOfType<Grid>();
        weight.Right.ShouldBeOfType<Grid>();
        weight.Bytes.ShouldBe(step.BytesFor(12, 5) + step.BytesFor(5, 9));
    }

    [Fact]
    public void A_matrix_of_several_blocks_is_quantised_as_if_it_were_one()
    {
        using var scope = NewDisposeScope();
        var weight = Forms.Random([3, 700_001]);
        foreach (var granularity in Enum.GetValues<Granularity>())
        {
            var whole = RoundToNearest.Of(weight, new GridGeometry(3, 700_001, 4, false, granularity, 1000), float32);
            var row = RoundToNearest.Of(weight.narrow(0, 1, 1), new GridGeometry(1, 700_001, 4, false, granularity, 1000), float32);
            if (granularity != Granularity.Tensor)
            {
                Compare.SameBits(whole.Codes.narrow(0, 1, 1), row.Codes).ShouldBeTrue();
                Compare.SameBits(whole.Scales.narrow(0, 1, 1), row.Scales).ShouldBeTrue();
            }

            whole.Scales.shape.ShouldBe(new GridGeometry(3, 700_001, 4, false, granularity, 1000).ScaleShape);
        }
    }

    [Fact]
    public void Weights_that_no_grid_can_hold_are_refused_or_noted()
    {
        using var scope = NewDisposeScope();
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(full([2, 4], double.NaN, dtype: float32)), new Quantize())).Message.ShouldBe("the weight holds NaN");
        Should.Throw<InvalidOperationException>(() => Solve(new Dense(full([2, 4], 1e9, dtype: float32)), new Quantize())).Message.ShouldContain("scaleType: float32");
        Solve(new Dense(full([2, 4], 1e9, dtype: float32)), new Quantize { ScaleType = ScaleType.Float32 }).Facts["relativeError"].ShouldBeLessThan(1e-6);
        Solve(new Dense(full([2, 4], 1e-6, dtype: float32)), new Quantize()).Notes.ShouldHaveSingleItem().ShouldContain("scaleType: float32");
        Solve(new Dense(zeros(2, 4)), new Quantize()).Facts["relativeError"].ShouldBe(0);
    }

    [Theory]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.NegativeInfinity, "infinity")]
    public void One_value_that_is_no_number_is_found_wherever_it_stands(double value, string name)
    {
        using var scope = NewDisposeScope();
        foreach (int place in new[] { 0, 7, 30, 36 })
        {
            var weight = Forms.Random([3, 37]);
            weight[1, place] = value;
            foreach (var granularity in Enum.GetValues<Granularity>())
            {
                Should.Throw<InvalidOperationException>(() => RoundToNearest.Of(weight, new GridGeometry(3, 37, 4, true, granularity, 16), float32)).Message.ShouldBe($"the weight holds {name}");
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Codes_are_those_of_the_formula_at_every_tie(bool signed)
    {
        using var scope = NewDisposeScope();
        var weight = cat([linspace(-4, 3.5, 61, dtype: float64), tensor(new[] { 0.5, -0.5, 2.5, 7, -8 })], 0).reshape(1, -1);
        var geometry = new GridGeometry(1, weight.shape[1], 4, signed, Granularity.Channel, 1);
        var result = RoundToNearest.Of(weight, geometry, float64);
        var zero = result.Zeros?.to(float64) ?? zeros(1, 1, dtype: float64);
        result.Codes.to(float64).eq(((weight / result.Scales).round() + zero).clamp(geometry.Lowest, geometry.Highest)).all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void The_same_weight_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var weight = new Product(Forms.Dense(12, 5), Forms.Dense(5, 9));
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Solve(weight, new Quantize { Symmetric = false });
        var second = Solve(weight, new Quantize { Symmetric = false });
        first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
        first.Release();
        second.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
        weight.Left.Materialize().Dispose();
    }

    private static LayerSolution Solve(Expression weight, Quantize step) =>
        SolverCatalog.For(step).Solve(new LayerProblem("fc", weight, null, LayerStatistics.None, 0), step);
}
