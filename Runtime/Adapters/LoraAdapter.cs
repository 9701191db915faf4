using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W + s B A, and with a trained magnitude m / ‖W + s B A‖ of it for each unit. Neither the product B A nor the sum is formed in training.</summary>
internal sealed class LoraAdapter : Adapter
{
    private readonly Lora step;
    private readonly Tensor a;
    private readonly Tensor b;
    private readonly Tensor? magnitude;

    /// <summary>Squared norms of the base weight's units, which training does not change.</summary>
    private readonly Tensor? baseNorms;

    /// <summary>The factors at the start, where the base weight lacks them.</summary>
    private readonly (Tensor A, Tensor B)? first;

    /// <summary>An adapter with its factors at the start; runs inside a dispose scope, without gradients.</summary>
    public LoraAdapter(Lora step, LayerOperation operation, Tensor baseWeight, Tensor a, Tensor b, bool changesBase)
        : base(operation, baseWeight)
    {
        this.step = step;
        (this.a, this.b) = (a, b);
        first = changesBase ? (a.clone(), b.clone()) : null;
        if (step.WeightDecomposed)
        {
            baseNorms = operation.Matrix(baseWeight).to(a.dtype).square().sum(dim: 1L);
            magnitude = Norms();
        }
    }

    /// <summary>Rank, scaling and dropout.</summary>
    public Lora Step => step;

    /// <summary>The trained magnitudes [units], or null.</summary>
    public Tensor? Magnitude => magnitude;

    /// <summary>The change of the original weight before magnitudes; tensors may be the adapter's own.</summary>
    public LowRankDelta ChangeOfOriginal()
    {
        if (first is not { } start)
        {
            return new(a, b, step.Scaling);
        }

        var (joinedA, joinedB) = ThinFactors.Since(a, b, start.A, start.B);
        return new(joinedA, joinedB, step.Scaling);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => magnitude is null ? [("A", a), ("B", b)] : [("A", a), ("B", b), ("magnitude", magnitude)];

    /// <inheritdoc/>
    public override bool IsAdditive => magnitude is null;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product)
    {
        var frozen = product(x);
        if (!x.is_floating_point())
        {
            return Joined(frozen, frozen, Change(x));
        }

        var input = x.to(a.dtype);
        if (step.Dropout == 0 || Pass is null)
        {
            return Joined(frozen, frozen, Change(input));
        }

        // With magnitudes the frozen weight's share of the change comes from what was not dropped, too, as published.
        input = input.mul(Pass.Mask(input, step.Dropout));
        return Joined(frozen, magnitude is null ? frozen : product(input.to(x.dtype)), Change(input));
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
    private protected override LowRankDelta? LowRank() => magnitude is null ? ChangeOfOriginal() : null;

    /// <inheritdoc/>
    private protected override LowRankDelta? OverBase() => new(a, b, step.Scaling);

    /// <inheritdoc/>
    private protected override Tensor? UnitScales() => magnitude is null ? null : magnitude / Norms();

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

    /// <summary>y + (g − 1) W x + g s B A x, with g = m / ‖W + s B A‖, or 1.</summary>
    /// <param name="frozen">y, what the frozen weight makes of the inputs.</param>
    /// <param name="seen">W x, what it makes of those that were not dropped.</param>
    /// <param name="change">s B A x.</param>
    private Tensor Joined(Tensor frozen, Tensor seen, Tensor change)
    {
        if (magnitude is null)
        {
            return frozen + change.to(frozen.dtype);
        }

        var gain = Operation.OverUnits(magnitude / Norms(), frozen);
        return ReferenceEquals(frozen, seen)
            ? gain.mul(frozen.to(a.dtype) + change).to(frozen.dtype)
            : (frozen.to(a.dtype) + (gain - 1).mul(seen.to(a.dtype)) + gain.mul(change)).to(frozen.dtype);
    }

    /// <summary>s B A x.</summary>
    private Tensor Change(Tensor x) => Operation.Mix(Operation.Apply(x, Operation.Shaped(a, a.shape)).mul(step.Scaling), b);

    /// <summary>s B A as a matrix [units, inputs].</summary>
    private Tensor Change() => b.mm(InnerMatrix()).mul(step.Scaling);

    private Tensor InnerMatrix() => Operation.Matrix(Operation.Shaped(a, a.shape));

    /// <summary>‖W + s B A‖ of each unit [units], a constant to gradients: ‖w‖² + 2 s b · (A w) + s² bᵀ A Aᵀ b.</summary>
    private Tensor Norms()
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var inner = InnerMatrix();
        var crossed = Operation.Matrix(BaseWeight).to(a.dtype).mm(inner.mT);
        var squares = baseNorms! + crossed.mul(b).sum(dim: 1L).mul(2 * step.Scaling) + b.mm(inner.mm(inner.mT)).mul(b).sum(dim: 1L).mul(step.Scaling * step.Scaling);
        return squares.clamp_min(0).sqrt().MoveToOuterDisposeScope();
    }
}
