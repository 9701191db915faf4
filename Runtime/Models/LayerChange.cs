using PipelineDsl.Runtime.Adapters;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>What an adapter makes of one layer of a running model.</summary>
internal abstract class LayerChange : IDisposable
{
    /// <summary>Why the change has no multiples and no sums with others, or null where it has.</summary>
    public abstract string? Unmixable { get; }

    /// <summary>The output with the change.</summary>
    /// <param name="operation">What the layer does.</param>
    /// <param name="x">The layer's inputs.</param>
    /// <param name="y">What the layer makes of them; still the caller's.</param>
    /// <param name="bias">Its bias, which is in y.</param>
    /// <returns>The caller owns it.</returns>
    public abstract Tensor Apply(LayerOperation operation, Tensor x, Tensor y, Tensor? bias);

    /// <summary>The weight with the change, in the current dispose scope.</summary>
    public abstract Tensor Merge(LayerOperation operation, Tensor weight);

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>A change of low rank, which is added to whatever the layer computes.</summary>
internal sealed class ThinChange : LayerChange
{
    private (Tensor A, Tensor B) factors;

    /// <summary>A change B A; the scaling is multiplied into B.</summary>
    /// <param name="delta">The change; its tensors are taken over.</param>
    public ThinChange(LowRankDelta delta)
    {
        using var scope = NewDisposeScope();
        factors = (delta.A.DetachFromDisposeScope(), delta.B.mul(delta.Scaling).DetachFromDisposeScope());
        delta.B.Dispose();
    }

    /// <inheritdoc/>
    public override string? Unmixable => null;

    /// <summary>Σ w B A as one change; the caller owns it.</summary>
    public static ThinChange Mixed(IReadOnlyList<(ThinChange Change, double Weight)> changes)
    {
        using var scope = NewDisposeScope();
        return new(new(cat([.. changes.Select(item => item.Change.factors.A)], 0), cat([.. changes.Select(item => item.Change.factors.B.mul(item.Weight))], 1), 1));
    }

    /// <inheritdoc/>
    public override Tensor Apply(LayerOperation operation, Tensor x, Tensor y, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var (a, b) = For(x);
        var input = x.is_floating_point() ? x.to(a.dtype) : x;
        return (y + operation.Mix(operation.Apply(input, operation.Shaped(a, a.shape)), b).to(y.dtype)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Merge(LayerOperation operation, Tensor weight)
    {
        var (a, b) = For(weight);
        return operation.Shaped(operation.Matrix(weight.to(a.dtype)) + b.mm(a.flatten(1)), weight.shape).to(weight.dtype);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        factors.A.Dispose();
        factors.B.Dispose();
    }

    /// <summary>The factors where a tensor is; they follow the model to its device.</summary>
    private (Tensor A, Tensor B) For(Tensor x)
    {
        if (factors.A.device.type != x.device.type || factors.A.device.index != x.device.index)
        {
            var before = factors;
            factors = (before.A.to(x.device).DetachFromDisposeScope(), before.B.to(x.device).DetachFromDisposeScope());
            before.A.Dispose();
            before.B.Dispose();
        }

        return factors;
    }
}

/// <summary>A change of the weight itself: magnitudes (DoRA), or a product with it (Bat).</summary>
/// <param name="adapter">The adapter beside the layer's weight; taken over.</param>
internal sealed class WholeChange(Adapter adapter) : LayerChange
{
    /// <inheritdoc/>
    public override string Unmixable => "multiplies the weight";

    /// <inheritdoc/>
    public override Tensor Apply(LayerOperation operation, Tensor x, Tensor y, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var changed = adapter.Forward(x);
        return (bias is null ? changed : changed + operation.OverUnits(bias, changed)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Merge(LayerOperation operation, Tensor weight) => adapter.Merge();

    /// <inheritdoc/>
    public override void Dispose() => adapter.Dispose();
}
