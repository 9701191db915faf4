using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Enlarges the columns whose inputs are strong before rounding, so that they lose less, and searches how far to clip each group (AWQ, arXiv:2306.00978).</summary>
/// <remarks>The inverse scales are stored beside the codes and applied to the inputs.</remarks>
public sealed class Awq : Quantize
{
    /// <summary>Zero points, as published.</summary>
    public Awq() => Symmetric = false;

    /// <summary>How many exponents of the input magnitudes are tried, from 0 up to 1.</summary>
    [Within(1, int.MaxValue)]
    public int GridPoints { get; set; } = 20;

    /// <summary>Whether the range of each group is clipped where that lowers the error of the outputs. The published code leaves query and key projections out.</summary>
    public bool Clip { get; set; } = true;

    /// <summary>The share of a group's range that clipping takes away at most.</summary>
    [Within(0, 1)]
    public double MaxShrink { get; set; } = 0.5;

    /// <summary>Whether the range of every group includes 0; officially it need not, and a group on one side of 0 is lost.</summary>
    public Parity Parity { get; set; }

    /// <inheritdoc/>
    public override StatisticKinds Needs => StatisticKinds.InputMoments | StatisticKinds.InputMagnitudes;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (Symmetric)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Symmetric), "'awq' rounds on a grid with zero points; drop 'symmetric' or use 'gptq'");
        }

        if (Granularity == Granularity.Tensor)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Granularity), "'awq' has one scale a group or row; use 'granularity: channel' or 'gptq'");
        }

        foreach (var problem in base.Check(layer, given))
        {
            yield return problem;
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. base.Predict(layer, factors).Select(factor => factor.IsVector ? factor : factor with { Bytes = factor.Bytes + factor.Columns * 4 })];
}
