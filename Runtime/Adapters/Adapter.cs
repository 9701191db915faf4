using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>The trained part of one layer, beside a weight that stays as it is.</summary>
/// <param name="operation">What the layer does with its weight.</param>
/// <param name="baseWeight">The frozen weight: the original, or what a method left of it.</param>
public abstract class Adapter(LayerOperation operation, Tensor baseWeight) : IDisposable
{
    private Tensor baseWeight = baseWeight;
    private FrozenWeight? frozen;

    /// <summary>What the layer does with its weight.</summary>
    public LayerOperation Operation => operation;

    /// <summary>The frozen weight, in the layer's shape; a handle in the caller's dispose scope. A weight that is kept in another form is made dense at each call.</summary>
    public Tensor BaseWeight => frozen is null ? baseWeight : frozen.Dense();

    /// <summary>Whether the frozen weight is not the one that the adapter was attached to, but what the method left of it.</summary>
    public bool ChangesBase { get; private set; }

    /// <summary>Whether the adapter adds to what the frozen layer makes of the same inputs, whatever that is: then a bias may already be in it.</summary>
    public abstract bool IsAdditive { get; }

    /// <summary>Where training is, or null outside of it, when nothing is dropped; set before each pass through the model.</summary>
    public TrainingPass? Pass { get; set; }

    /// <summary>What is trained, by name; the adapter's own.</summary>
    public abstract IReadOnlyList<(string Name, Tensor Value)> Parameters { get; }

    /// <summary>How many numbers are trained.</summary>
    public long ParameterCount => Parameters.Sum(parameter => parameter.Value.numel());

    /// <summary>What the adapted layer computes before its bias; gradients flow into the input and all parameters.</summary>
    /// <param name="x">Inputs as <see cref="LayerOperation.Apply"/> takes them.</param>
    /// <returns>Outputs in the frozen layer's dtype; the caller owns them.</returns>
    public Tensor Forward(Tensor x) => Forward(x, input => frozen!.Apply(Operation, input));

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
        var merged = Combine(BaseWeight.to(ValueType)).to(BaseType).contiguous();
        return merged.isfinite().all().item<bool>()
            ? merged.MoveToOuterDisposeScope()
            : throw NotFinite();
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

    /// <summary>The adapted weight as it is stored: the frozen one beside a low-rank product where there is one, else one dense matrix.</summary>
    /// <param name="weight">The weight that the adapter was attached to, as rows and columns; shared and still the caller's.</param>
    /// <returns>A form with handles of its own; the caller owns it.</returns>
    /// <exception cref="InvalidOperationException">A value is not finite.</exception>
    public Expression ToExpression(Expression weight)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        if (ChangesBase || OverBase() is not { } delta)
        {
            return new Dense(Merge().reshape(weight.Rows, weight.Columns));
        }

        // A table is the transpose of what its units read.
        bool isTable = Operation == LayerOperation.Lookup;
        var (units, inputs) = (delta.B.detach().mul(delta.Scaling), delta.A.detach().flatten(1));
        if (!units.isfinite().all().item<bool>() || !inputs.isfinite().all().item<bool>())
        {
            throw NotFinite();
        }

        var (left, right) = isTable ? (inputs.mT, units.mT) : (units, inputs);
        var sum = new Sum(FrozenWeight.Shared(weight), new Product(new Dense(left.clone().contiguous()), new Dense(right.clone().contiguous())));
        return UnitScales() is not { } scales ? sum : isTable ? new Scaled(null, sum, scales.clone()) : new Scaled(scales.clone(), sum, null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The frozen weight.</summary>
    internal FrozenWeight Frozen => frozen!;

    /// <summary>Takes all tensors out of the dispose scope and lets the trained ones have gradients.</summary>
    /// <param name="weight">The weight that the adapter was attached to.</param>
    /// <param name="form">The form that it is kept in where the adapter leaves it as it is, or null for a dense one.</param>
    internal void Own(Tensor weight, FrozenWeight? form)
    {
        ChangesBase = !ReferenceEquals(weight, baseWeight);
        frozen = form is null || ChangesBase ? FrozenWeight.Of(baseWeight) : form.Share();
        baseWeight = null!;
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

    /// <summary>The change of the frozen weight as a low-rank one, before <see cref="UnitScales"/>; tensors may be the adapter's own.</summary>
    private protected virtual LowRankDelta? OverBase() => LowRank();

    /// <summary>What multiplies the units of the changed weight [units], or null.</summary>
    private protected virtual Tensor? UnitScales() => null;

    /// <summary>Takes tensors that are neither base nor trained out of the dispose scope.</summary>
    private protected virtual void OwnRest()
    {
    }

    /// <summary>Releases what the adapter owns.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            frozen?.Dispose();
            foreach (var (_, value) in Parameters)
            {
                value.Dispose();
            }
        }
    }

    /// <summary>The frozen weight's dtype.</summary>
    private protected ScalarType BaseType => frozen is null ? baseWeight.dtype : frozen.Type;

    /// <summary>The frozen weight's shape.</summary>
    private protected long[] BaseShape => frozen is null ? baseWeight.shape : frozen.Shape;

    private static InvalidOperationException NotFinite() => new("the merged weight has values that are not finite; train with a lower rate or clip gradients");

    private ScalarType ValueType => Parameters[0].Value.dtype;
}
