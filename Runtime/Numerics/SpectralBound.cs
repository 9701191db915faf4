using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Bounds from above on the eigenvalues of A = M Mᵀ, from an orthonormal basis K that holds the leading eigenvectors nearly.</summary>
/// <remarks>
/// In the basis [K, K⊥] A is [[H, Gᵀ], [G, C]] with C at most μ, and GᵀG = E, the residual's Gram matrix. For any ν above μ the Schur complement of
/// A − ν I shows λ_i(A) ≤ max(ν, λ_i(H + E / (ν − μ))). With ν = λ_r(H) above μ this exceeds λ_i(H) by the squared residual over the gap only.
/// </remarks>
internal static class SpectralBound
{
    /// <summary>The largest μ, as a share of λ_r(H), for which ν = λ_r(H) is surely the best choice.</summary>
    private const double WideGap = 0.8;

    /// <summary>Where ν is tried when the gap is narrower, in multiples of μ.</summary>
    private static readonly double[] Shifts = [1.02, 1.06, 1.15];

    /// <summary>An upper bound of Σ_{i≤r} λ_i(A).</summary>
    /// <param name="inside">H [q, q] float64.</param>
    /// <param name="residual">E [q, q] float64.</param>
    /// <param name="leading">λ_r(H), the last of the leading eigenvalues.</param>
    /// <param name="outside">μ.</param>
    /// <param name="rank">r.</param>
    public static double LeadingSum(Tensor inside, Tensor residual, double leading, double outside, int rank)
    {
        double best = double.PositiveInfinity;
        foreach (double shift in ShiftsAbove(outside, leading))
        {
            using var scope = NewDisposeScope();
            var values = SymmetricEigen.Values(inside + residual / (shift - outside));
            best = Math.Min(best, values.narrow(0, values.shape[0] - rank, rank).clamp_min(shift).sum().item<double>());
        }

        return best;
    }

    /// <summary>What <see cref="LeadingSum"/> will be about, to first order in the residual; says when the bound itself is worth its cost.</summary>
    /// <param name="leading">λ_1(H) … λ_r(H), descending.</param>
    /// <param name="residuals">vᵀ E v of their eigenvectors.</param>
    /// <param name="outside">μ.</param>
    public static double EstimatedLeadingSum(double[] leading, double[] residuals, double outside) => ShiftsAbove(outside, leading[^1])
        .Select(shift => leading.Zip(residuals).Sum(pair => Math.Max(shift, pair.First + pair.Second / (shift - outside))))
        .DefaultIfEmpty(double.PositiveInfinity).Min();

    private static IEnumerable<double> ShiftsAbove(double outside, double leading)
    {
        var shifts = outside < WideGap * leading ? [] : Shifts.Select(factor => factor * outside).Where(shift => shift > leading);
        return shifts.Append(leading).Where(shift => shift > outside);
    }
}
