using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The squared error of a layer's outputs on the calibration data.</summary>
internal static class WeightedError
{
    /// <summary>tr(Δ G Δᵀ) with Δ = W − W', or W alone.</summary>
    /// <param name="exact">W [rows, columns].</param>
    /// <param name="approximation">W' [rows, columns], or null for the energy of the outputs themselves.</param>
    /// <param name="gram">G = Σ x xᵀ [columns, columns] float64.</param>
    public static double Energy(Tensor exact, Tensor? approximation, Tensor gram)
    {
        double sum = 0;
        foreach (var (first, count) in RowBlocks.Of(exact.shape[0], exact.shape[1]))
        {
            using var scope = NewDisposeScope();
            var rows = exact.narrow(0, first, count).to(float64);
            rows = approximation is null ? rows : rows - approximation.narrow(0, first, count);
            sum += (rows.mm(gram) * rows).sum().item<double>();
        }

        return sum;
    }
}
