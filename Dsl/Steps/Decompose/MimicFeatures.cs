using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Atomic feature mimicking (AFM, arXiv:2405.18146): keeps the directions in which a layer's outputs vary most, and their mean.</summary>
/// <remarks>
/// A linear layer becomes two factors and a bias, as in the output orientation of <see cref="Decompose"/>. A table E becomes narrow
/// rows E' = (E − 1 μᵀ) U, from which a lookup gives U e' + μ; rows that calibration never looks up are transformed as well.
/// </remarks>
public sealed class MimicFeatures : Decompose
{
    /// <summary>A step whose orientation is <see cref="Orientation.Output"/>.</summary>
    public MimicFeatures() => Orientation = Orientation.Output;

    /// <summary>How much each row of a table counts; no matter for linear layers.</summary>
    public RowWeighting Weighting { get; set; }

    /// <summary>A row of a table that pads and is left out of the statistics, though not out of the table; -1 for none.</summary>
    [Within(-1, int.MaxValue)]
    public int PaddingIndex { get; set; } = -1;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear | LayerKinds.Embedding;

    /// <inheritdoc/>
    public override StatisticKinds NeedsOf(LayerShape layer) =>
        layer.Kind == LayerKinds.Embedding && Weighting == RowWeighting.Uniform ? StatisticKinds.None : base.NeedsOf(layer);

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in base.Check(layer, given))
        {
            yield return problem;
        }

        if (Orientation != Orientation.Output)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Orientation), "'mimicFeatures' decomposes in the output orientation only; use 'decompose' for another one");
        }

        if (layer is { Kind: LayerKinds.Embedding } && PaddingIndex >= layer.Rows)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(PaddingIndex), $"'paddingIndex' is {PaddingIndex} and the table has {layer.Rows} rows; use at most {layer.Rows - 1}");
        }
    }
}

/// <summary>How much each row of a table counts.</summary>
public enum RowWeighting
{
    /// <summary>As often as calibration looks it up.</summary>
    Access,

    /// <summary>As much as every other.</summary>
    Uniform,
}
