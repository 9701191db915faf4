using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
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
        using var scope = NewDisposeScope();
        using var weight = new Watched(8);
        var x = AdapterChecks.Random(2, 5, 8).to(float32).requires_grad_(true);
        using (NewDisposeScope())
        {
            var y = FormProduct.Of(FormProduct.Of(x, weight), weight).sum();
            weight.Count.ShouldBe(2);
            weight.Alive().ShouldBe(0);
            y.backward();
            weight.Count.ShouldBe(4);
            weight.Alive().ShouldBe(0);
        }

        // As it is without: what autograd saves is seen here.
        using var other = new Watched(8);
        using (NewDisposeScope())
        {
            var y = Dense(x, other);
            other.Alive().ShouldBe(1);
            y.sum().backward();
        }

        other.Alive().ShouldBe(0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Tensor Dense(Tensor x, Expression weight)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, weight.Materialize()).MoveToOuterDisposeScope();
    }

    /// <summary>A weight that knows how many of the dense copies that it gave still hold memory: their numbers are arrays of this process, which the tensor library lets go with the last owner.</summary>
    private sealed class Watched(int side) : Expression
    {
        private readonly List<WeakReference> given = [];

        public int Count => given.Count;

        public override long Rows => side;

        public override long Columns => side;

        public override string Form => "watched";

        public override Tensor Materialize()
        {
            float[] numbers = [.. Enumerable.Range(0, side * side).Select(i => (i % 7) - 3f)];
            given.Add(new(numbers));
            return as_tensor(numbers).reshape(side, side);
        }

        public override Tensor Apply(Tensor x) => throw new NotSupportedException();

        public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [];

        public override JsonObject Describe() => throw new NotSupportedException();

        public override Expression RewriteDense(Func<Dense, Expression> rewrite) => this;

        public int Alive()
        {
            GC.Collect();
            return given.Count(reference => reference.IsAlive);
        }
    }
}
