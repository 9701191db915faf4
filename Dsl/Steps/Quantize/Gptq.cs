using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Rounds column by column and spreads each column's error over the ones that follow, as the inputs' second moment says (GPTQ, arXiv:2210.17323).</summary>
public sealed class Gptq : Quantize
{
    /// <summary>What is added to the diagonal of the second moment, as a share of its mean.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double Damping { get; set; } = 0.01;

    /// <summary>Columns that are rounded before the rest is updated; no matter for the result but for groups that begin inside a block.</summary>
    [Within(1, int.MaxValue)]
    public int BlockSize { get; set; } = 128;

    /// <summary>Whether columns with stronger inputs are rounded first.</summary>
    public bool ActivationOrder { get; set; } = true;

    /// <summary>Whether groups are those of the original columns and their scales are chosen before the first is rounded. Otherwise groups follow the order of rounding, and inputs are put in that order at run time.</summary>
    public bool StaticGroups { get; set; } = true;

    /// <summary>Whether each group's range is the best of 80 shrunken ones, in the sum of |error|^2.4.</summary>
    public bool SearchRange { get; set; }

    /// <inheritdoc/>
    public override StatisticKinds Needs => StatisticKinds.InputMoments;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear | LayerKinds.Conv2d;

    /// <summary>Whether the columns of a stored matrix stand in the order in which they were rounded.</summary>
    public bool StoresOrder => ActivationOrder && !StaticGroups && Granularity == Granularity.Group;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given) => base.Check(layer, given).Concat(CheckOwn(layer, given));

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. base.Predict(layer, factors).Select(factor => factor.IsVector || !StoresOrder ? factor : factor with { Bytes = factor.Bytes + factor.Columns * 4 })];

    private IEnumerable<StepProblem> CheckOwn(LayerShape? layer, ISet<string> given)
    {
        if (given.Contains(nameof(StaticGroups)) && Granularity != Granularity.Group)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(StaticGroups), $"'staticGroups' has no meaning with one scale a {Granularity.ToString().ToLowerInvariant()}; drop it or say 'granularity: group'");
        }

        if (layer?.Kernel is { Groups: > 1 and var groups })
        {
            yield return new(DiagnosticIds.NotCompressible, null, $"the inputs of a convolution of {groups} groups are not one second moment; use 'quantize'");
        }
    }
}
