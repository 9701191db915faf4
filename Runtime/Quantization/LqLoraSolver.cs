using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>NormalFloat codes beside two thin factors, each fitted in turn to what the other leaves (LQ-LoRA, arXiv:2311.12023).</summary>
/// <remarks>
/// Facts: <c>rank</c>; <c>weightedError</c>, Σ F (W − W')² / Σ F W² with the squared gradients F of the calibration data (all equal where there are none); <c>normalFloatError</c>, the same
/// for the codes alone; <c>iterationError.i</c>, the same after each turn, <c>iterations</c> and <c>bestIteration</c>; <c>bitsPerWeight</c> with factors, scales and table, <c>codeBitsPerWeight</c>
/// without factors; <c>relativeError</c>.
/// </remarks>
public sealed class LqLoraSolver : LayerSolver<LqLora>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    /// <remarks>
    /// A column of the integer programme (section 4.2). A configuration that is beaten in bytes and in the error of plain rounding by another keeps that error, which is larger
    /// than the other's: factors are not fitted for it. One whose scales do not fit their type counts as everything lost. The energy is Σ F W², and 0 where no gradient reaches
    /// a layer that asked for them.
    /// </remarks>
    public override CandidateErrors Compare(LayerProblem problem, IReadOnlyList<Step> candidates)
    {
        using var scope = NewDisposeScope();
        var weight = problem.Weight.Materialize().to(float32);
        MatrixChecks.RequireFinite(weight, "the weight");
        List<LqLora> steps = [.. candidates.Cast<LqLora>()];
        var fisher = steps[0].Weighted ? LayerFisher.Of(problem) : null;
        return new(LqLoraChoices.Errors(weight, fisher, steps, problem), new Dense(weight.alias()))
        {
            Energy = steps[0].Weighted && fisher is null ? 0 : LqLoraChoices.Energy(weight, fisher),
        };
    }

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, LqLora step)
    {
        using var scope = NewDisposeScope();
        var weight = problem.Weight.Materialize().to(float32);
        MatrixChecks.RequireFinite(weight, "the weight");
        var fisher = step.Weighted ? LayerFisher.Of(problem) : null;
        var found = LowRankPlusQuantized.Of(weight, fisher, step, problem.Seed);
        using var rounded = LowRankPlusQuantized.Round(weight, step);
        var facts = new Dictionary<string, double>
        {
            ["rank"] = step.Rank,
            ["weightedError"] = found.Errors[found.Kept],
            ["normalFloatError"] = MatrixChecks.WeightedError(weight, rounded.Materialize(), fisher),
            ["iterations"] = found.Errors.Count,
            ["bestIteration"] = found.Kept,
            ["bitsPerWeight"] = 8.0 * found.Weight.Bytes / weight.numel(),
            ["codeBitsPerWeight"] = 8.0 * rounded.Bytes / weight.numel(),
            ["relativeError"] = MatrixChecks.RelativeError(weight, found.Weight.Materialize()),
        };
        for (int i = 0; i < found.Errors.Count; i++)
        {
            facts[string.Create(CultureInfo.InvariantCulture, $"iterationError.{i:000}")] = found.Errors[i];
        }

        string[] notes = step.Weighted && fisher is null ? ["no gradient reaches the layer, so all its weights count the same"] : [];
        return new(found.Weight, null, facts, [], notes);
    }
}
