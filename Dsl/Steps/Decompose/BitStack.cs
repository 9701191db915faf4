using System;
using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Replaces a weight by a stack of residual blocks of about one bit a parameter, of which any leading part is a coarser weight (BitStack, arXiv:2410.23918).</summary>
/// <remarks>
/// One artifact then serves every memory budget: the blocks of all layers get one order, and a model is loaded with as many as fit.
/// Input scales stay with the layer as 1/s beside the blocks; nothing is folded into the norms or layers before it.
/// </remarks>
public sealed class BitStack : Step, IStackStep
{
    private const int FloatBytes = 4;
    private const int HalfBytes = 2;
    private const int HalfBits = 16;

    /// <summary>Blocks of a layer; a load by budget takes one or more of them.</summary>
    [Within(1, 64)]
    public int Blocks { get; set; } = 16;

    /// <summary>Singular triplets that describe the magnitudes of a block.</summary>
    [Within(1, int.MaxValue)]
    public int Rank { get; set; } = 16;

    /// <summary>Whether columns are multiplied by how strong their input is before the decomposition, and divided after.</summary>
    public bool ScaleWeight { get; set; } = true;

    /// <summary>What is added to the strength of an input channel, so that silent ones can be divided by.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double ScaleEps { get; set; } = 1e-3;

    /// <summary>Whether blocks are truncated SVDs of the residual of as many bytes, without signs: the ablation of the paper ("no_avd").</summary>
    public bool Plain { get; set; }

    /// <summary>What decides which block is added next as memory grows; one choice a model.</summary>
    public StackOrder Order { get; set; }

    /// <summary>Samples of the calibration data that the order of blocks is found on; one choice a model.</summary>
    [Within(1, int.MaxValue)]
    public int ScoringSamples { get; set; } = 32;

    /// <inheritdoc/>
    public override Stage Stage => Stage.Decompose;

    /// <inheritdoc/>
    public override bool EndsChain => true;

    /// <inheritdoc/>
    public override StatisticKinds Needs => ScaleWeight ? StatisticKinds.InputNorms : StatisticKinds.None;

    /// <summary>The order of several blocks is found on data as well.</summary>
    public override bool NeedsCalibration => ScaleWeight || Blocks > 1;

    /// <summary>The rank of a block's factors: <see cref="Rank"/> beside signs, or what the signs' bytes buy as well (arXiv:2410.23918, official code).</summary>
    public int FactorRank(LayerShape layer) => Plain ? (int)Math.Min(layer.MaxRank, (layer.Count / (HalfBits * (layer.Rows + layer.Columns))) + Rank) : Rank;

    /// <summary>Exact bytes of one block: a bit a value and two float16 factors.</summary>
    public long BytesPerBlock(LayerShape layer) => (Plain ? 0 : (layer.Count + 7) / 8) + (HalfBytes * FactorRank(layer) * (layer.Rows + layer.Columns));

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (!ScaleWeight && given.Contains(nameof(ScaleEps)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(ScaleEps), "'scaleEps' has no meaning with 'scaleWeight: false'; drop one of them");
        }

        if (layer is not null && Rank > layer.MaxRank)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, nameof(Rank), layer.MaxRank, $"rank {Rank} exceeds min(in={layer.Columns}, out={layer.Rows}); use at most {layer.MaxRank}");
        }
        else if (layer is not null && BytesPerBlock(layer) >= HalfBytes * layer.Count)
        {
            yield return new(DiagnosticIds.RankSavesNothing, nameof(Rank), $"one block of rank {Rank} takes {BytesPerBlock(layer)} bytes, no less than the {layer.Rows} × {layer.Columns} weight in float16; use a smaller rank");
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [new(layer.Rows, layer.Columns, (Blocks * BytesPerBlock(layer)) + (ScaleWeight ? FloatBytes * layer.Columns : 0))];
}
