using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Learns on calibration data to which point of a uniform grid each value goes, and the grid's scales, so that a block's output stays (FlexRound, arXiv:2306.00317; LRQ, arXiv:2407.11534).</summary>
/// <remarks>
/// Each value is divided by a learned number before it is rounded; the divisors are not stored. Published for models of billions of parameters: 5000 steps at a rate of 0.003 (4 bits), 0.0025 (3 bits)
/// or 0.0005 (LRQ). The defaults are for a build: fewer steps, which need a higher rate.
/// </remarks>
public sealed class FlexRound : Quantize
{
    /// <summary>One scale a row and a zero point, as published.</summary>
    public FlexRound()
    {
        Granularity = Granularity.Channel;
        Symmetric = false;
    }

    /// <summary>How the divisors are parametrised.</summary>
    public FlexRoundForm Form { get; set; }

    /// <summary>The rank of the learned divisors' logarithms with <c>form: lrq</c>; 0 takes a quarter of the smaller side, as published for sides of 4096 and 8192.</summary>
    [Within(0, int.MaxValue)]
    public int LrqRank { get; set; }

    /// <summary>Steps of Adam a block; 0 only rounds to the first grid.</summary>
    [Within(0, int.MaxValue)]
    public int Iterations { get; set; } = 200;

    /// <summary>The learning rate, which falls to 0 along half a cosine.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double LearningRate { get; set; } = 0.01;

    /// <summary>Calibration samples a step.</summary>
    [Within(1, int.MaxValue)]
    public int BatchSize { get; set; } = 2;

    /// <summary>Whether the first grid is the best of 100 shrunken ranges, with every zero point when it is not symmetric, in the mean of |error|^2.4. Costs 100 · 2^bits passes over the weight.</summary>
    public bool RangeSearch { get; set; }

    /// <summary>Whose output is held to the original's.</summary>
    public ReconstructionScope Reconstruct { get; set; }

    /// <inheritdoc/>
    public override bool NeedsCalibration => true;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in base.Check(layer, given))
        {
            yield return problem;
        }

        if (Form != FlexRoundForm.Lrq && given.Contains(nameof(LrqRank)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(LrqRank), "'lrqRank' has no meaning without 'form: lrq'; drop one of them");
        }
    }
}

/// <summary>How the divisors of <see cref="FlexRound"/> are parametrised.</summary>
public enum FlexRoundForm
{
    /// <summary>One number a value.</summary>
    FlexRound,

    /// <summary>A product of two thin matrices, one number a row and one a column: fewer learned numbers, which generalise better from few samples.</summary>
    Lrq,
}
