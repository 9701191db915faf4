using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>The trained part of one layer, beside a weight that stays as it is.</summary>
/// <param name="operation">What the layer does with its weight.</param>
/// <param name="baseWeight">The frozen weight: the original, or what a method left of it.</param>
public abstract class Adapter(LayerOperation operation, Tensor baseWeight) : IDisposable
{
    /// <summary>What the layer does with its weight.</summary>
    public LayerOperation Operation => operation;

    /// <summary>The frozen weight, in the layer's shape; the adapter's own.</summary>
    public Tensor BaseWeight { get; private set; } = baseWeight;

    /// <summary>What is trained, by name; the adapter's own.</summary>
    public abstract IReadOnlyList<(string Name, Tensor Value)> Parameters { get; }

    /// <summary>How many numbers are trained.</summary>
    public long ParameterCount => Parameters.Sum(parameter => parameter.Value.numel());

    /// <summary>What the adapted layer computes before its bias; gradients flow into the input and all parameters.</summary>
    /// <param name="x">Inputs as <see cref="LayerOperation.Apply"/> takes them.</param>
    /// <returns>Outputs in the frozen layer's dtype; the caller owns them.</returns>
    public Tensor Forward(Tensor x) => Forward(x, input => Operation.Apply(input, BaseWeight));

    /// <summary>What the adapted layer computes before its bias.</summary>
    /// <param name="x">Inputs as <see cref="LayerOperation.Apply"/> takes them.</param>
    /// <param name="product">What the frozen layer computes before its bias, from a form of the base weight of the caller's choice.</param>
    /// <returns>Outputs in the frozen layer's dtype; the caller owns them.</returns>
    public Tensor Forward(Tensor x, Func<Tensor, Tensor> product)
    {
        using var scope = NewDisposeScope();
        return Compute(x, product).MoveToOuterDisposeScope();
    }

    /// <summary>The weight that does alone what the adapted layer does, in the layer's shape and the base weight's dtype; the caller owns it.</summary>
    /// <exception cref="InvalidOperationException">A value is not finite.</exception>
    public Tensor Merge()
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var merged = Combine(BaseWeight.to(ValueType)).to(BaseWeight.dtype).contiguous();
        return merged.isfinite().all().item<bool>()
            ? merged.MoveToOuterDisposeScope()
            : throw new InvalidOperationException("the merged weight has values that are not finite; train with a lower rate or clip gradients");
    }

    /// <summary>The base weight that a merged one came from, computed back, up to rounding; the caller owns it.</summary>
    /// <param name="merged">What <see cref="Merge"/> gave with the same parameters.</param>
    public Tensor Unmerge(Tensor merged)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        return Separate(merged.to(ValueType)).to(merged.dtype).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The same change of the original weight as a low-rank one, or null where there is none that is equal.</summary>
    /// <returns>Factors without gradients; the caller owns them.</returns>
    public LowRankDelta? AsLowRank()
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        return LowRank() is { } delta
            ? new(delta.A.detach().contiguous().clone().MoveToOuterDisposeScope(), delta.B.detach().contiguous().clone().MoveToOuterDisposeScope(), delta.Scaling)
            : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Takes all tensors out of the dispose scope and lets the trained ones have gradients.</summary>
    internal void Own()
    {
        BaseWeight = BaseWeight.alias().DetachFromDisposeScope();
        foreach (var (_, value) in Parameters)
        {
            value.DetachFromDisposeScope();
            value.requires_grad_(true);
        }

        OwnRest();
    }

    /// <summary>Computes outputs inside a dispose scope.</summary>
    private protected abstract Tensor Compute(Tensor x, Func<Tensor, Tensor> product);

    /// <summary>The merged weight from the base weight.</summary>
    private protected abstract Tensor Combine(Tensor weight);

    /// <summary>The base weight from the merged one.</summary>
    private protected abstract Tensor Separate(Tensor merged);

    /// <summary>The change of the original weight as a low-rank one.</summary>
    private protected virtual LowRankDelta? LowRank() => null;

    /// <summary>Takes tensors that are neither base nor trained out of the dispose scope.</summary>
    private protected virtual void OwnRest()
    {
    }

    /// <summary>Releases what the adapter owns.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            BaseWeight.Dispose();
            foreach (var (_, value) in Parameters)
            {
                value.Dispose();
            }
        }
    }

    private ScalarType ValueType => Parameters[0].Value.dtype;
}
