using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Fisher-weighted low-rank factors (FWSVD, arXiv:2207.00112, section 4).</summary>
/// <param name="Factors">B [m, r] and A [r, n].</param>
/// <param name="Projection">Of diag(a) W diag(c), or of its transpose; its spectrum and losses are those of the weighted norm.</param>
public sealed record FisherWeighting(FactorPair Factors, Projection Projection)
{
    /// <summary>Singular values of diag(a) W diag(c), descending; those that are known.</summary>
    public double[] Spectrum => Projection.Spectrum;

    /// <summary>The weights of one side: √sum, raised to a share of the largest so that they can be divided by.</summary>
    /// <remarks>The floor is relative: the absolute one of a re-implementation flattens the weighting, because Fisher sums are tiny.</remarks>
    /// <param name="sums">Fisher sums of the side [m] or [n] float64.</param>
    /// <param name="relativeFloor">The smallest share of the largest weight.</param>
    /// <returns>[m] or [n]; all zero where the sums are (a dead layer). The caller owns it.</returns>
    public static Tensor Weights(Tensor sums, double relativeFloor)
    {
        using var scope = NewDisposeScope();
        var weights = sums.sqrt();
        return maximum(weights, weights.max() * relativeFloor).MoveToOuterDisposeScope();
    }

    /// <summary>Factors of W in the norm Σ a_i² c_j² (W − W')_ij².</summary>
    /// <param name="weight">W [m, n] float64.</param>
    /// <param name="rowWeights">a [m]; used for <see cref="FisherAxis.Output"/> and <see cref="FisherAxis.Both"/>, above 0 for the latter.</param>
    /// <param name="columnWeights">c [n]; used for <see cref="FisherAxis.Input"/> and <see cref="FisherAxis.Both"/>.</param>
    /// <param name="axis">Which sides count.</param>
    /// <param name="rank">r.</param>
    /// <param name="fuse">Which factor carries the singular values.</param>
    /// <param name="accuracy">How good an iteration must be.</param>
    /// <param name="seed">The seed of an iteration's random start.</param>
    /// <remarks>Belongs to the caller's dispose scope.</remarks>
    public static FisherWeighting Of(
        Tensor weight,
        Tensor rowWeights,
        Tensor columnWeights,
        FisherAxis axis,
        int rank,
        SigmaFuse fuse = SigmaFuse.Both,
        SvdAccuracy accuracy = SvdAccuracy.Tight,
        long seed = 0)
    {
        if (axis == FisherAxis.Output)
        {
            return Mirrored(Projection.Leading(weight.mT, weight.mT * rowWeights, rank, accuracy, seed), rowWeights, rank, fuse);
        }

        var rows = axis == FisherAxis.Both ? rowWeights.unsqueeze(1) : ones(1, 1, dtype: float64, device: weight.device);
        var scaled = weight * rows;
        var projection = Projection.Leading(scaled, scaled * columnWeights, rank, accuracy, seed);
        var factors = projection.Factors(Slice.Top, rank, fuse);
        return new(new FactorPair(factors.B / rows, factors.A), projection);
    }

    /// <summary>The mirror image W' = W V_r V_rᵀ, V the right singular vectors of diag(a) W: exact also where weights are zero.</summary>
    private static FisherWeighting Mirrored(Projection projection, Tensor rowWeights, int rank, SigmaFuse fuse)
    {
        var mirrorFuse = fuse switch { SigmaFuse.Left => SigmaFuse.Right, SigmaFuse.Right => SigmaFuse.Left, _ => fuse };
        var factors = projection.Factors(Slice.Top, rank, mirrorFuse);
        var (b, a) = (factors.A.mT, factors.B.mT);

        // The gauge is that of U = diag(a) W V S⁻¹, whose columns are those of diag(a) B up to positive factors.
        var signs = SignGauge.Of(b * rowWeights.unsqueeze(1));
        return new(new FactorPair(b * signs, a * signs.unsqueeze(1)), projection);
    }
}
