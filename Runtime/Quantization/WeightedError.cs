using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The squared error of a layer's outputs on the calibration data.</summary>
internal static class WeightedError
{
    /// <summary>Σ error² / Σ energy of a layer in the metric of what was collected about it: its inputs, what the loss is sensitive to, how often rows are looked up; or the weight itself.</summary>
    /// <param name="problem">The layer.</param>
    /// <param name="exact">W [rows, columns].</param>
    /// <param name="approximation">W' [rows, columns].</param>
    /// <remarks>A metric in which the weight has no energy tells nothing; the weight itself counts then, and nothing at all is no error.</remarks>
    public static double Of(LayerProblem problem, Tensor exact, Tensor approximation)
    {
        using var scope = NewDisposeScope();
        var statistics = problem.Statistics;
        var gram = statistics.InputMoments?.Gram ?? statistics.Covariances.OrderBy(item => item.Key).Select(item => item.Value).FirstOrDefault();
        double energy = gram is null ? 0 : Energy(exact, null, gram);
        if (energy > 0)
        {
            return Energy(exact, approximation, gram!) / energy;
        }

        var weights = statistics.FisherDiagonal ?? statistics.AccessCounts?.unsqueeze(1) ?? statistics.Fisher?.Columns.unsqueeze(0);
        double error = MatrixChecks.WeightedError(exact, approximation, weights?.expand(exact.shape));
        return double.IsFinite(error) ? error : MatrixChecks.WeightedError(exact, approximation, null);
    }

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
