using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>What each configuration of LQ-LoRA costs a layer in quality: a column of the integer programme (arXiv:2311.12023, section 4.2).</summary>
internal static class LqLoraChoices
{
    /// <summary>Facts <c>choiceEnergy</c>, Σ F W² (0 where no gradient reaches a layer that asked for them), and <c>choiceError.i</c>, Σ F (W − W')² over it with candidate i of the step.</summary>
    /// <remarks>
    /// A configuration that is beaten in bytes and in the error of plain rounding by another keeps that error, which is larger than the other's: factors are not fitted for it.
    /// One whose scales do not fit their type counts as everything lost.
    /// </remarks>
    /// <param name="weight">W [rows, columns] float32, finite.</param>
    /// <param name="fisher">F in the same shape; null where all weights count the same.</param>
    /// <param name="step">The open step.</param>
    /// <param name="problem">The layer.</param>
    public static Dictionary<string, double> Facts(Tensor weight, Tensor? fisher, LqLora step, LayerProblem problem)
    {
        List<LqLora> candidates = [.. step.Candidates(problem.Shape, int.MaxValue).Cast<LqLora>()];
        double largest = weight.abs().max().item<float>();
        bool Fits(LqLora candidate) => candidate.ScaleType != RealType.Float16 || largest <= (double)Half.MaxValue;
        double[] errors = [.. candidates.Select(candidate => Fits(candidate) ? Rounded(weight, fisher, candidate) : 1)];
        using var first = LowRankPlusQuantized.First(weight, fisher, step, problem.Seed);
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

        var facts = new Dictionary<string, double> { [LayerDistortions.ChoiceEnergy] = step.Weighted && fisher is null ? 0 : Energy(weight, fisher) };
        for (int i = 0; i < errors.Length; i++)
        {
            facts[LayerDistortions.ChoiceError(i)] = errors[i];
        }

        return facts;
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

    private static double Energy(Tensor weight, Tensor? fisher)
    {
        using var scope = NewDisposeScope();
        var squares = weight.to(float64).square();
        return (fisher is null ? squares : squares * fisher).sum().item<double>();
    }
}
