using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Activation-aware singular value decomposition (ASVD, arXiv:2312.05821): channels count by how large their inputs are.</summary>
/// <remarks>The metric is diag(a²), a_j = magnitude_j ^ alpha + 1e-6, and so a setting of its own instead of an <see cref="Orientation"/>.</remarks>
public sealed class Asvd : Decompose
{
    /// <summary>The exponent of the magnitudes; 0 is plain SVD.</summary>
    [Within(0, 1)]
    public double Alpha { get; set; } = 0.5;

    /// <summary>What counts as the magnitude of an input channel.</summary>
    public ActivationScaling Scaling { get; set; }

    /// <summary>A rank that follows from <see cref="Decompose.KeepRatio"/> is rounded up to a multiple of this.</summary>
    [Within(1, int.MaxValue)]
    public int RankAlign { get; set; } = 1;

    /// <summary>Which factor carries the singular values.</summary>
    public SigmaFuse SigmaFuse { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override StatisticKinds Needs => StatisticKinds.InputMagnitudes;

    /// <inheritdoc/>
    public override int RankFor(LayerShape layer) =>
        Rank > 0 ? Rank : (int)Math.Min(layer.MaxRank, (base.RankFor(layer) + RankAlign - 1L) / RankAlign * RankAlign);

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given) =>
        base.Check(layer, given).Concat(CheckOrientation(Orientation.Weight));
}

/// <summary>The magnitude of an input channel over the calibration data.</summary>
public enum ActivationScaling
{
    /// <summary>The mean of absolute values over the tokens of a sample, summed over samples as in the official code.</summary>
    AbsMean,

    /// <summary>The largest absolute value.</summary>
    AbsMax,
}
