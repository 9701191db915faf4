using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Mean and covariance of vectors from their sums.</summary>
/// <param name="Mean">μ [n].</param>
/// <param name="Matrix">E[x xᵀ] − μ μᵀ [n, n], symmetric.</param>
/// <remarks>Both float64, in the caller's dispose scope.</remarks>
public sealed record Covariance(Tensor Mean, Tensor Matrix)
{
    /// <summary>Centres the second moment.</summary>
    /// <param name="count">Number of vectors.</param>
    /// <param name="sum">Σ x [n] float64.</param>
    /// <param name="gram">Σ x xᵀ [n, n] float64.</param>
    /// <exception cref="InvalidOperationException">There are no vectors.</exception>
    public static Covariance Of(long count, Tensor sum, Tensor gram)
    {
        if (count < 1)
        {
            throw new InvalidOperationException("no calibration data reached the layer");
        }

        using var scope = NewDisposeScope();
        var mean = sum / count;
        var centred = gram / count - mean.outer(mean);
        return new(mean.MoveToOuterDisposeScope(), ((centred + centred.mT) / 2).MoveToOuterDisposeScope());
    }
}
