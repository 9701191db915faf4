using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Context-oriented decomposition (CorDA, arXiv:2406.05223): splits a weight along the directions that matter to the calibration data.</summary>
/// <remarks>
/// As <see cref="CordaUse.Compression"/> the leading directions replace the weight; as <see cref="CordaUse.Adapter"/> the
/// chosen directions become a trainable pair of factors beside the frozen residual, and the layer's function is unchanged.
/// </remarks>
public sealed class Corda : Decompose
{
    /// <summary>A step whose orientation is <see cref="Orientation.Context"/>.</summary>
    public Corda() => Orientation = Orientation.Context;

    /// <summary>Whether the factors replace the weight or start an adapter beside the residual.</summary>
    public CordaUse Use { get; set; }

    /// <summary>Which directions an adapter takes; compression always keeps the leading ones.</summary>
    public CordaMode Mode { get; set; }

    /// <summary>The first share of the mean diagonal added to the covariance's diagonal.</summary>
    [Within(0, 1000, ExclusiveMinimum = true)]
    public double Damping { get; set; } = 0.01;

    /// <summary>The damping doubles until the Frobenius norm of (C C⁻¹ − I) is below this.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double InverseErrorTolerance { get; set; } = 0.05;

    /// <summary>What each calibration sample is divided by before it enters the covariance.</summary>
    public SampleNormalization SampleNormalization { get; set; }

    /// <summary>Which factor carries the singular values.</summary>
    public SigmaFuse SigmaFuse { get; set; }

    /// <summary>The adapter's numerator: its product is scaled by alpha / rank; 0 means alpha = rank.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double LoraAlpha { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override bool IsTrained => Use == CordaUse.Adapter;

    /// <inheritdoc/>
    public override StatisticKinds Needs => SampleNormalization switch
    {
        SampleNormalization.Max => StatisticKinds.ContextCovarianceSignedMax,
        SampleNormalization.None => StatisticKinds.ContextCovarianceUnscaled,
        _ => StatisticKinds.ContextCovariance,
    };

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in base.Check(layer, given).Concat(CheckOrientation(Orientation.Context)))
        {
            yield return problem;
        }

        if (Use == CordaUse.Compression)
        {
            if (Mode == CordaMode.KnowledgePreserved)
            {
                yield return new(DiagnosticIds.ContradictorySettings, nameof(Mode), "'mode: knowledgePreserved' takes the least important directions and makes sense for 'use: adapter' only");
            }

            if (LoraAlpha > 0)
            {
                yield return new(DiagnosticIds.ContradictorySettings, nameof(LoraAlpha), "'loraAlpha' scales an adapter; add 'use: adapter' or drop it");
            }
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        Use == CordaUse.Adapter ? [new(layer.Rows, layer.Columns, layer.Count * 4), .. base.Predict(layer, factors)] : base.Predict(layer, factors);

    private protected override bool ReplacesNothing => Use == CordaUse.Adapter;
}

/// <summary>What becomes of the factors.</summary>
public enum CordaUse
{
    /// <summary>They replace the weight.</summary>
    Compression,

    /// <summary>They are trained later, beside the frozen residual.</summary>
    Adapter,
}

/// <summary>Which directions an adapter takes.</summary>
public enum CordaMode
{
    /// <summary>The leading ones: what the data of the new task uses most (IPM).</summary>
    InstructionPreviewed,

    /// <summary>The trailing ones: what the knowledge to keep uses least (KPM).</summary>
    KnowledgePreserved,
}

/// <summary>What a calibration sample is divided by.</summary>
public enum SampleNormalization
{
    /// <summary>Its largest magnitude.</summary>
    AbsMax,

    /// <summary>The magnitude of its signed maximum, as the official code has it.</summary>
    Max,

    /// <summary>Nothing.</summary>
    None,
}
