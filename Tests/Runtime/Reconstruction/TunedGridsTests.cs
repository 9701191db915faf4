using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Reconstruction;

public sealed class TunedGridsTests
{
    private const int Rows = 6;
    private const int Columns = 14;

    public static TheoryData<Granularity, bool, ScalarType> Kinds => new()
    {
        { Granularity.Channel, true, ScalarType.Float16 },
        { Granularity.Group, true, ScalarType.Float32 },
        { Granularity.Group, false, ScalarType.Float16 },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Tuning_lowers_the_error_and_leaves_every_code_as_it_is(Granularity granularity, bool offset, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var weight = new Dense(LayerProblems.Weight(Rows, Columns).to(float32));
        using var grid = Rounded(weight.Matrix, granularity, offset, dtype);
        using var tuned = new TunedGrids(weight, grid, null, new Adam(0.01) { Beta2 = 0.99, Epsilon = 2e-5 });
        using (no_grad())
        {
            tuned.Soft().ShouldBeNear(grid.Dequantize(), 1e-6);
        }

        var x = LayerProblems.Inputs(Columns).reshape(-1, Columns);
        var result = LayerReconstruction.Run(tuned, grid, weight.Matrix, x, new() { Steps = 60, Checkpoints = 20 });
        result.BestLoss.ShouldBeLessThan(result.StartLoss);
        using var best = (Grid)result.Best!;
        Compare.SameBits(best.Codes, grid.Codes).ShouldBeTrue();
        best.Bytes.ShouldBe(grid.Bytes);
        best.ZeroKind.ShouldBe(grid.ZeroKind);
        best.Geometry.ShouldBe(grid.Geometry);
        using var last = tuned.Harden();
        using var noGradients = no_grad();
        last.Materialize().ShouldBeNear(tuned.Soft(), 1e-6);
    }

    [Fact]
    public void A_bias_is_trained_where_one_is_given()
    {
        using var scope = NewDisposeScope();
        using var weight = new Dense(LayerProblems.Weight(Rows, Columns).to(float32));
        using var grid = Rounded(weight.Matrix, Granularity.Channel, true, float16);
        using var tuned = new TunedGrids(weight, grid, ones(Rows), new Adam(0.1));
        using var optimizer = new Optimizer(tuned.Groups);
        (tuned.Soft().sum() + tuned.Bias!.sum()).backward();
        optimizer.Step(1);
        tuned.Bias!.detach().ShouldBeNear(full(Rows, 0.9), 1e-5);
    }

    [Fact]
    public void Factors_of_a_product_are_tuned_each()
    {
        using var scope = NewDisposeScope();
        using var product = new Product(new Dense(LayerProblems.Weight(Rows, 3).to(float32)), new Dense(LayerProblems.Weight(3, Columns).to(float32)));
        using var quantised = product.RewriteDense(dense => Rounded(dense.Matrix, Granularity.Channel, true, float16));
        using var tuned = new TunedGrids(product, quantised, null, new Adam(0.01));
        tuned.Groups.Sum(group => group.Tensors.Count).ShouldBe(4);
        using var noGradients = no_grad();
        tuned.Soft().ShouldBeNear(quantised.Materialize(), 1e-5);
    }

    [Fact]
    public void A_zero_point_that_is_a_code_cannot_be_tuned()
    {
        using var scope = NewDisposeScope();
        using var weight = new Dense(LayerProblems.Weight(2, 4).to(float32));
        using var grid = Grid.Pack(new(2, 4, 3, false, Granularity.Channel, 1), zeros(2, 4, dtype: int16), ones(2, 1, dtype: float16), zeros(2, 1, dtype: uint8));
        Should.Throw<ArgumentException>(() => new TunedGrids(weight, grid, null, new Adam(0.01)));
    }

    private static Grid Rounded(Tensor weight, Granularity granularity, bool offset, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var geometry = new GridGeometry(weight.shape[0], weight.shape[1], 2, true, granularity, 4);
        var scales = full(geometry.ScaleShape, 0.9, dtype: dtype);
        var offsets = offset ? full(geometry.ScaleShape, 0.4, dtype: dtype) : null;
        var codes = ((weight - (offset ? 0.4 : 0)) / 0.9).round().clamp(-2, 1).to(int16);
        return Grid.Pack(geometry, codes, scales, offsets);
    }
}
