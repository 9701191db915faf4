using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The upper factor U of H⁻¹ = Uᵀ U, which says how the error of a column is spread over those that follow.</summary>
/// <param name="Upper">U [n, n] float64, in the caller's dispose scope.</param>
/// <param name="Damping">The share of the mean diagonal that made H positive definite.</param>
/// <remarks>H = V Vᵀ with V upper, by the Cholesky factor of H with rows and columns reversed; U = V⁻¹. H itself is never inverted.</remarks>
internal sealed record InverseFactor(Tensor Upper, double Damping)
{
    private const int MostRaises = 12;

    /// <summary>Factors H + damping · mean(diag H) · I; the damping is raised tenfold until that is positive definite.</summary>
    /// <param name="hessian">H [n, n] float64, symmetric.</param>
    /// <param name="damping">The first damping, above 0.</param>
    /// <exception cref="InvalidOperationException">No damping helps: H is not finite.</exception>
    public static InverseFactor Of(Tensor hessian, double damping)
    {
        using var scope = NewDisposeScope();
        double mean = hessian.diagonal().mean().item<double>();
        var reversed = hessian.flip(0, 1);
        for (int raise = 0; raise <= MostRaises; raise++, damping *= 10)
        {
            using var attempt = NewDisposeScope();
            var damped = reversed.clone();
            damped.diagonal().add_(damping * mean);
            var (factor, info) = linalg.cholesky_ex(damped, check_errors: false);
            if (info.item<int>() == 0)
            {
                var identity = eye(hessian.shape[0], dtype: float64, device: hessian.device);
                var upper = linalg.solve_triangular(factor.flip(0, 1).contiguous(), identity, upper: true);
                return new(upper.MoveToOuterDisposeScope().MoveToOuterDisposeScope(), damping);
            }
        }

        throw new InvalidOperationException("the second moment of the inputs is not positive definite whatever is added to its diagonal; check the calibration data");
    }
}
