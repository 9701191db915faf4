using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A matrix as the sum of Kronecker products that is nearest to it: the singular value decomposition of its rearrangement (Van Loan and Pitsianis, 1993).</summary>
/// <param name="LeftRows">m₁, a divisor of the rows m₁ m₂.</param>
/// <param name="LeftColumns">n₁, a divisor of the columns n₁ n₂.</param>
/// <param name="RightRows">m₂.</param>
/// <param name="RightColumns">n₂.</param>
public sealed record KroneckerTerms(long LeftRows, long LeftColumns, long RightRows, long RightColumns)
{
    /// <summary>The matrix in which a Kronecker product A ⊗ B has rank one: vec(A) vec(B)ᵀ.</summary>
    /// <param name="matrix">[m₁ m₂, n₁ n₂].</param>
    /// <returns>[m₁ n₁, m₂ n₂]; the caller owns it.</returns>
    public Tensor Rearrange(Tensor matrix) => matrix.reshape(LeftRows, RightRows, LeftColumns, RightColumns).permute(0, 2, 1, 3).reshape(LeftRows * LeftColumns, RightRows * RightColumns);

    /// <summary>The matrix that <see cref="Rearrange"/> came from.</summary>
    public Tensor Restore(Tensor rearranged) => rearranged.reshape(LeftRows, LeftColumns, RightRows, RightColumns).permute(0, 2, 1, 3).reshape(LeftRows * RightRows, LeftColumns * RightColumns);

    /// <summary>Σ Aₖ ⊗ Bₖ.</summary>
    /// <param name="left">[terms, m₁, n₁].</param>
    /// <param name="right">[terms, m₂, n₂].</param>
    public Tensor Sum(Tensor left, Tensor right) => Restore(left.flatten(1).mT.mm(right.flatten(1)));

    /// <summary>The singular values of the rearrangement, descending, and the terms' factors, each with √σ.</summary>
    /// <param name="matrix">[m₁ m₂, n₁ n₂] float64.</param>
    /// <returns>σ [K], A [K, m₁, n₁] and B [K, m₂, n₂] with K = min(m₁ n₁, m₂ n₂), the largest entry of each A positive; the caller owns them.</returns>
    public (Tensor Values, Tensor Left, Tensor Right) Decompose(Tensor matrix)
    {
        using var scope = NewDisposeScope();
        var (u, s, vt) = linalg.svd(Rearrange(matrix), fullMatrices: false);
        var weights = s.sqrt().mul(SignGauge.Of(u));
        return (
            s.MoveToOuterDisposeScope(),
            u.mul(weights).mT.reshape(-1, LeftRows, LeftColumns).contiguous().MoveToOuterDisposeScope(),
            vt.mul(weights.unsqueeze(1)).reshape(-1, RightRows, RightColumns).contiguous().MoveToOuterDisposeScope());
    }
}
