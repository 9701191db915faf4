using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>What each configuration of LQ-LoRA costs a layer in quality: a column of the integer programme (arXiv:2311.12023, section 4.2).</summary>
internal static class LqLoraChoices
{
    /// <summary>Σ F (W − W')² / Σ F W² with each candidate, of those that may be the best.</summary>
    /// <param name="weight">W [rows, columns] float32, finite.</param>
    /// <param name="fisher">F in the same shape; null where all weights count the same.</param>
    /// <param name="candidates">The configurations.</param>
    /// <param name="problem">The layer.</param>
    public static double[] Errors(Tensor weight, Tensor? fisher, IReadOnlyList<LqLora> candidates, LayerProblem problem)
    {
        double largest = weight.abs().max().item<float>();
        bool Fits(LqLora candidate) => candidate.ScaleType != RealType.Float16 || largest <= (double)Half.MaxValue;
        double[] errors = [.. candidates.Select(candidate => Fits(candidate) ? Rounded(weight, fisher, candidate) : 1)];
        using var first = LowRankPlusQuantized.First(weight, fisher, candidates[0], problem.Seed);
        double least = double.PositiveInfinity;

        // Candidates rise in bytes; of equally large ones the best comes first here.
        foreach (int i in Enumerable.Range(0, candidates.Count).OrderBy(i => candidates[i].Predict(problem.Shape, []).Sum(cost => cost.Bytes)).ThenBy(i => errors[i]))
        {
            if (errors[i] < least && Fits(candidates[i]))
            {
                least = errors[i];
                errors[i] = Fitted(weight, fisher, candidates[i], problem.Seed, first);
            }
        }

        return errors;
    }

    /// <summary>Σ F W².</summary>
    public static double Energy(Tensor weight, Tensor? fisher)
    {
        using var scope = NewDisposeScope();
        var squares = weight.to(float64).square();
        return (fisher is null ? squares : squares * fisher).sum().item<double>();
    }

    private static double Rounded(Tensor weight, Tensor? fisher, LqLora step)
    {
        using var scope = NewDisposeScope();
        using var stored = LowRankPlusQuantized.Round(weight, step);
        return MatrixChecks.WeightedError(weight, stored.Materialize(), fisher);
    }

    private static double Fitted(Tensor weight, Tensor? fisher, LqLora step, long seed, Weights.Expression? first)
    {
        using var scope = NewDisposeScope();
        var found = LowRankPlusQuantized.Of(weight, fisher, step, seed, first);
        found.Weight.Dispose();
        return found.Errors[found.Kept];
    }
}
