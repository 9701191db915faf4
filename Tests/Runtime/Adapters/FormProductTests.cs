using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What a product with a frozen weight of few bits promises to training.</summary>
public sealed class FormProductTests
{
    [Fact]
    public void Outputs_and_gradients_are_those_of_the_dense_weight()
    {
        using var scope = NewDisposeScope();
        using var grid = AdapterStepsTests.Quantized(24, 32);
        var dense = grid.Materialize();
        foreach (long[] shape in (long[][])[[32], [5, 32], [2, 5, 32]])
        {
            var x = AdapterChecks.Random(2, shape).to(float32).requires_grad_(true);
            var y = FormProduct.Of(x, grid);
            y.ShouldBeNear(nn.functional.linear(x, dense).detach(), 1e-6);
            var upstream = AdapterChecks.Random(3, y.shape).to(float32);
            y.mul(y).mul(upstream).sum().backward();
            using var gradient = x.grad!.clone();
            x.grad!.zero_();
            var expected = nn.functional.linear(x, dense);
            expected.mul(expected).mul(upstream).sum().backward();
            gradient.ShouldBeNear(x.grad!, 1e-6);
        }
    }

    [Fact]
    public void An_adapter_beside_few_bits_trains_as_beside_the_same_weight_dense()
    {
        using var scope = NewDisposeScope();
        using var grid = AdapterStepsTests.Quantized(24, 32);
        foreach (var step in (Adapt[])[new Lora { Rank = 4 }, new Lora { Rank = 4, WeightDecomposed = true }, new Bone { Rank = 8 }])
        {
            using var packed = AdapterCatalog.For(step).Attach(step, grid, 1).Moved();
            using var dense = step.Attach(grid.Materialize(), LayerOperation.Linear, 1).Moved();
            var input = AdapterChecks.Random(2, 5, 32).to(float32);
            var (first, second) = (input.clone().requires_grad_(true), input.clone().requires_grad_(true));
            var upstream = AdapterChecks.Random(3, 5, 24).to(float32);
            var expected = dense.Gradients(second, upstream);
            foreach (var (name, gradient) in packed.Gradients(first, upstream))
            {
                gradient.ShouldBeNear(expected[name], 1e-6);
            }

            first.grad!.ShouldBeNear(second.grad!, 1e-6);
        }
    }

    [Fact]
    public void Several_products_of_one_weight_and_no_gradients_at_all_work()
    {
        using var scope = NewDisposeScope();
        using var grid = AdapterStepsTests.Quantized(32, 32);
        var dense = grid.Materialize();
        var x = AdapterChecks.Random(2, 5, 32).to(float32).requires_grad_(true);
        FormProduct.Of(FormProduct.Of(x, grid).relu(), grid).sum().backward();
        using var gradient = x.grad!.clone();
        x.grad!.zero_();
        nn.functional.linear(nn.functional.linear(x, dense).relu(), dense).sum().backward();
        gradient.ShouldBeNear(x.grad!, 1e-6);

        using var noGradients = no_grad();
        FormProduct.Of(x, grid).requires_grad.ShouldBeFalse();
        FormProduct.Of(x.detach(), grid).ShouldBeNear(nn.functional.linear(x, dense), 1e-6);
    }

    [Fact]
    public void No_dense_weight_waits_for_the_way_back()
    {
        const int Layers = 4;
        const long Side = 4096;
        const long DenseBytes = Layers * Side * Side * sizeof(float);
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        Expression[] grids = [.. Enumerable.Range(0, Layers).Select(_ =>
        {
            using var inner = NewDisposeScope();
            var codes = randint(0, 16, [Side, Side], dtype: int16, generator: generator).sub(8);
            return (Expression)Grid.Pack(new GridGeometry(Side, Side, 4, true, Granularity.Channel, 0), codes, full([Side, 1], 0.001f), null);
        })];
        var x = randn(2, Side, generator: generator).requires_grad_(true);
        long Held(Func<Tensor, Expression, Tensor> product)
        {
            using var inner = NewDisposeScope();
            product(x, grids[0]).Dispose();
            long before = Resident();
            var y = x;
            foreach (var grid in grids)
            {
                y = product(y, grid);
            }

            long held = Resident() - before;
            y.sum().backward();
            return held;
        }

        Held(FormProduct.Of).ShouldBeLessThan(DenseBytes / 4);
        Held((input, grid) => nn.functional.linear(input, grid.Materialize())).ShouldBeGreaterThan(DenseBytes * 3 / 4);
        Array.ForEach(grids, grid => grid.Dispose());
    }

    private static long Resident()
    {
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
