using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>What is asked of every matrix before and after a method works on it.</summary>
public static class MatrixChecks
{
    /// <summary>Refuses a tensor that holds NaN or infinity.</summary>
    /// <param name="tensor">Any shape, floating point.</param>
    /// <param name="name">What the tensor is, for the message.</param>
    /// <exception cref="InvalidOperationException">It holds NaN or infinity.</exception>
    public static void RequireFinite(Tensor tensor, string name)
    {
        using var scope = NewDisposeScope();
        if (!tensor.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"{name} holds {(tensor.isnan().any().item<bool>() ? "NaN" : "infinity")}");
        }
    }

    /// <summary>‖W − W'‖_F / ‖W‖_F in float64; 0 when both are zero, infinity when only W is.</summary>
    /// <param name="exact">W [rows, columns].</param>
    /// <param name="approximation">W' [rows, columns].</param>
    public static double RelativeError(Tensor exact, Tensor approximation) => Math.Sqrt(WeightedError(exact, approximation, null));

    /// <summary>Σ F (W − W')² / Σ F W² in float64; 0 when both sums are zero, infinity when only the second is.</summary>
    /// <param name="exact">W [rows, columns].</param>
    /// <param name="approximation">W' [rows, columns].</param>
    /// <param name="weights">F [rows, columns], not negative; null for ones.</param>
    public static double WeightedError(Tensor exact, Tensor approximation, Tensor? weights)
    {
        double difference = 0;
        double whole = 0;
        foreach (var (first, count) in RowBlocks.Of(exact.shape[0], exact.shape[1]))
        {
            using var scope = NewDisposeScope();
            var w = exact.narrow(0, first, count).to(float64);
            var f = weights?.narrow(0, first, count).to(float64) ?? ones(1, dtype: float64, device: w.device);
            difference += (f * (w - approximation.narrow(0, first, count)).square()).sum().item<double>();
            whole += (f * w.square()).sum().item<double>();
        }

        return difference == 0 ? 0 : difference / whole;
    }
}
