using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W + s Σ Aₖ ⊗ Bₖ. The products are not formed: two multiplications do all terms at once.</summary>
/// <param name="baseWeight">[m₁ m₂, n₁ n₂].</param>
/// <param name="terms">The sizes.</param>
/// <param name="left">[r, m₁, n₁].</param>
/// <param name="right">[r, m₂, n₂].</param>
/// <param name="scaling">s.</param>
internal sealed class SokaAdapter(Tensor baseWeight, KroneckerTerms terms, Tensor left, Tensor right, double scaling) : Adapter(LayerOperation.Linear, baseWeight)
{
    private readonly Tensor left = left;
    private readonly Tensor right = right;

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => [("A", left), ("B", right)];

    /// <inheritdoc/>
    public override bool IsAdditive => true;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product)
    {
        var frozen = product(x);
        long rank = left.shape[0];
        var blocks = x.to(left.dtype).reshape(-1, terms.LeftColumns, terms.RightColumns);
        var inner = blocks.matmul(right.reshape(rank * terms.RightRows, terms.RightColumns).mT).reshape(-1, terms.LeftColumns * rank, terms.RightRows);
        var outer = left.permute(1, 2, 0).reshape(terms.LeftRows, terms.LeftColumns * rank);
        return frozen + outer.matmul(inner).mul(scaling).reshape(frozen.shape).to(frozen.dtype);
    }

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => weight + terms.Sum(left, right).mul(scaling);

    /// <inheritdoc/>
    private protected override Tensor Separate(Tensor merged) => merged - terms.Sum(left, right).mul(scaling);
}
