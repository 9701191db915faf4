using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>A covariance made invertible (CorDA, arXiv:2406.05223, official code): C' = C + damping · mean(diag C) · I.</summary>
/// <param name="Matrix">C' [n, n] float64, in the caller's dispose scope.</param>
/// <param name="Damping">The accepted damping.</param>
/// <param name="InverseError">‖C' C'⁻¹ − I‖_F at it.</param>
public sealed record DampedCovariance(Tensor Matrix, double Damping, double InverseError)
{
    private const int MostDoublings = 60;

    /// <summary>Doubles the damping until the inverse is good enough; decided in float64, so that all machines agree.</summary>
    /// <param name="covariance">C [n, n] float64, not zero.</param>
    /// <param name="damping">The first damping, above 0.</param>
    /// <param name="tolerance">The error to stay below.</param>
    /// <exception cref="InvalidOperationException">No damping reaches the tolerance.</exception>
    public static DampedCovariance Of(Tensor covariance, double damping, double tolerance)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(damping);
        double first = damping;
        for (int doublings = 0; doublings <= MostDoublings; doublings++, damping *= 2)
        {
            if (Try(covariance, damping, tolerance) is { } accepted)
            {
                return accepted;
            }
        }

        throw new InvalidOperationException(FormattableString.Invariant(
            $"the covariance has no inverse within an error of {tolerance}, whatever the damping from {first} on; raise 'inverseErrorTolerance' or give more calibration data"));
    }

    private static DampedCovariance? Try(Tensor covariance, double damping, double tolerance)
    {
        using var scope = NewDisposeScope();
        var unit = eye(covariance.shape[0], dtype: float64, device: covariance.device);
        var damped = covariance + unit * (covariance.diagonal().mean() * damping);

        // Through Cholesky, which says without an exception that there is no inverse (linalg.inv_ex of TorchSharp 0.107 calls cholesky_ex).
        var (factor, info) = linalg.cholesky_ex(damped, check_errors: false);
        double error = info.item<int>() == 0 ? (damped.mm(factor.cholesky_inverse()) - unit).square().sum().sqrt().item<double>() : double.PositiveInfinity;
        return error < tolerance ? new(damped.MoveToOuterDisposeScope(), damping, error) : null;
    }
}
