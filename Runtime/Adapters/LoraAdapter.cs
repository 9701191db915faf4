using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W + s B A, and with a trained magnitude m / ‖W + s B A‖ of it for each unit. Neither the product B A nor the sum is formed in training.</summary>
internal sealed class LoraAdapter : Adapter
{
    private readonly Lora method;
    private readonly Tensor a;
    private readonly Tensor b;
    private readonly Tensor? magnitude;

    /// <summary>Squared norms of the base weight's units, which training does not change.</summary>
    private readonly Tensor? baseNorms;

    /// <summary>The factors at the start, where the base weight lacks them.</summary>
    private readonly (Tensor A, Tensor B)? first;

    /// <summary>An adapter with its factors at the start; runs inside a dispose scope, without gradients.</summary>
    public LoraAdapter(Lora method, LayerOperation operation, Tensor baseWeight, Tensor a, Tensor b, bool changesBase)
        : base(operation, baseWeight)
    {
        this.method = method;
        (this.a, this.b) = (a, b);
        first = changesBase ? (a.clone(), b.clone()) : null;
        if (method.WeightDecomposed)
        {
            baseNorms = operation.Matrix(baseWeight).to(a.dtype).square().sum(dim: 1L);
            magnitude = Norms();
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => magnitude is null ? [("A", a), ("B", b)] : [("A", a), ("B", b), ("magnitude", magnitude)];

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product)
    {
        var frozen = product(x);
        var input = x.is_floating_point() ? x.to(a.dtype) : x;
        var change = Operation.Mix(Operation.Apply(input, Operation.Shaped(a, a.shape)).mul(method.Scaling), b);
        if (magnitude is null)
        {
            return frozen + change.to(frozen.dtype);
        }

        return Operation.OverUnits(magnitude / Norms(), frozen).mul(frozen.to(a.dtype) + change).to(frozen.dtype);
    }

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight)
    {
        var matrix = Operation.Matrix(weight) + Change();
        return Operation.Shaped(magnitude is null ? matrix : matrix.mul((magnitude / Norms()).unsqueeze(1)), weight.shape);
    }

    /// <inheritdoc/>
    private protected override Tensor Separate(Tensor merged)
    {
        var matrix = Operation.Matrix(merged);
        return Operation.Shaped((magnitude is null ? matrix : matrix.div((magnitude / Norms()).unsqueeze(1))) - Change(), merged.shape);
    }

    /// <inheritdoc/>
    /// <remarks>A trained magnitude multiplies the original weight too, which no low-rank change does.</remarks>
    private protected override LowRankDelta? LowRank() => magnitude is not null ? null
        : first is { } start ? new(cat([a, start.A], 0), cat([b, start.B.neg()], 1), method.Scaling)
        : new(a, b, method.Scaling);

    /// <inheritdoc/>
    private protected override void OwnRest()
    {
        baseNorms?.DetachFromDisposeScope();
        first?.A.DetachFromDisposeScope();
        first?.B.DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            baseNorms?.Dispose();
            first?.A.Dispose();
            first?.B.Dispose();
        }
    }

    /// <summary>s B A as a matrix [units, inputs].</summary>
    private Tensor Change() => b.mm(InnerMatrix()).mul(method.Scaling);

    private Tensor InnerMatrix() => Operation.Matrix(Operation.Shaped(a, a.shape));

    /// <summary>‖W + s B A‖ of each unit [units], a constant to gradients: ‖w‖² + 2 s b · (A w) + s² bᵀ A Aᵀ b.</summary>
    private Tensor Norms()
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var inner = InnerMatrix();
        var crossed = Operation.Matrix(BaseWeight).to(a.dtype).mm(inner.mT);
        var squares = baseNorms! + crossed.mul(b).sum(dim: 1L).mul(2 * method.Scaling) + b.mm(inner.mm(inner.mT)).mul(b).sum(dim: 1L).mul(method.Scaling * method.Scaling);
        return squares.clamp_min(0).sqrt().MoveToOuterDisposeScope();
    }
}
