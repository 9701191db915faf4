using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Stores a weight as NormalFloat codes beside two thin factors, each fitted in turn to what the other leaves (LQ-LoRA, arXiv:2311.12023).</summary>
/// <remarks>
/// The scales of blocks are unsigned integers above the smallest of them, with a scale of their own a block of scales. The factors are the start of an adapter on the quantised
/// weight, or part of a compressed one.
/// </remarks>
public sealed class LqLora : Step
{
    private const int OffsetBytes = 4;

    private static readonly int[] AllBits = [2, 3, 4, 8];
    private static readonly RealType[] ScaleTypes = [RealType.Bfloat16, RealType.Float16, RealType.Float32];
    private static readonly int[] BlockSizes = [16, 32, 64];
    private static readonly int[] ScaleBlocks = [16, 64, 256];

    /// <summary>Rank of the factors; 0 leaves them out.</summary>
    [Within(0, int.MaxValue)]
    public int Rank { get; set; } = 64;

    /// <summary>Bits a value; left out, a recipe's budget chooses them, with the blocks and how their scales are stored.</summary>
    [Within(2, 8)]
    public int Bits { get; set; }

    /// <summary>Consecutive values of the matrix, row after row, that share one scale; the last block may be shorter.</summary>
    [Within(2, int.MaxValue)]
    public int BlockSize { get; set; } = 64;

    /// <summary>Bits a scale.</summary>
    [Within(2, 8)]
    public int ScaleBits { get; set; } = 8;

    /// <summary>Consecutive scales that share one scale of their own; the last block may be shorter.</summary>
    [Within(2, int.MaxValue)]
    public int ScaleBlock { get; set; } = 256;

    /// <summary>How the scales of scales are stored.</summary>
    public RealType ScaleType { get; set; }

    /// <summary>How the factors are stored; everything is computed with stored values.</summary>
    public RealType FactorType { get; set; }

    /// <summary>The most times that the factors and the codes are fitted to each other; it ends when the error grows.</summary>
    [Within(1, int.MaxValue)]
    public int Iterations { get; set; } = 100;

    /// <summary>Whether weights count as much as the loss is sensitive to them; otherwise all count the same, and no calibration data is needed.</summary>
    public bool Weighted { get; set; } = true;

    /// <summary>Which sides of the weight carry the sensitivity while factors are fitted; errors are always measured weight by weight.</summary>
    public FisherAxis Axis { get; set; } = FisherAxis.Both;

    /// <summary>How close to the smallest loss an iteration for large layers must come.</summary>
    public SvdAccuracy Accuracy { get; set; }

    /// <summary>Whether the best fit is kept; officially it is the one after it, whose larger error ended the search.</summary>
    public Parity Parity { get; set; }

    /// <summary>An adapter's numerator: the factors are stored so that alpha / rank times their product is meant; 0 means the product itself.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double LoraAlpha { get; set; }

    /// <inheritdoc/>
    public override Stage Stage => Stage.Decompose;

    /// <inheritdoc/>
    public override bool IsTrained => true;

    /// <inheritdoc/>
    public override bool EndsChain => true;

    /// <inheritdoc/>
    public override StatisticKinds Needs => Weighted ? StatisticKinds.FisherDiagonal : StatisticKinds.None;

    /// <inheritdoc/>
    public override bool IsOpen => Bits == 0;

    /// <inheritdoc/>
    public override bool MayBeLeftOut => true;

    /// <inheritdoc/>
    public override string ChoiceName => $"{Bits} bits in blocks of {BlockSize}, scales of {ScaleBits} bits in blocks of {ScaleBlock} {SettingDescriptor.Format(ScaleType)}";

    /// <summary>What the product of the stored factors is multiplied by.</summary>
    public double Scaling => LoraAlpha > 0 ? LoraAlpha / Rank : 1;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (Bits == 0)
        {
            yield return new(DiagnosticIds.MissingSetting, null, "no number of bits is chosen; add 'bits', or a 'budget' to the recipe");
        }

        foreach (string setting in Bits > 0 ? [] : BlockSettings.Where(given.Contains))
        {
            yield return new(DiagnosticIds.ContradictorySettings, setting, $"'{SettingDescriptor.CamelCase(setting)}' is chosen together with the bits; add 'bits', or drop it and leave both to a budget");
        }

        if (!Weighted && given.Contains(nameof(Axis)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Axis), "'axis' has no meaning with 'weighted: false'; drop one of them");
        }

        foreach (string setting in Rank > 0 ? [] : FactorSettings.Where(given.Contains))
        {
            yield return new(DiagnosticIds.ContradictorySettings, setting, $"'{SettingDescriptor.CamelCase(setting)}' has no meaning with 'rank: 0', which leaves out the factors; drop one of them");
        }

        if (layer is not null && Rank > layer.MaxRank)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, nameof(Rank), layer.MaxRank, $"rank {Rank} exceeds min(in={layer.Columns}, out={layer.Rows}); use at most {layer.MaxRank}");
        }
        else if (layer is not null && Rank >= layer.BreakEvenRank)
        {
            yield return new(DiagnosticIds.RankSavesNothing, nameof(Rank), $"factors of rank {Rank} hold no fewer values than the {layer.Rows} × {layer.Columns} weight beside them; use a smaller rank");
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors)
    {
        MatrixCost codes = new(layer.Rows, layer.Columns, GridBytes(layer.Count));
        long width = BytesOf(FactorType);
        return Rank == 0 ? [codes] : [codes, new(layer.Rows, Rank, layer.Rows * Rank * width), new(Rank, layer.Columns, Rank * layer.Columns * width)];
    }

    /// <inheritdoc/>
    /// <remarks>Of the 432 published configurations those that take less than the weight itself; equal sizes in the order of the paper.</remarks>
    public override IReadOnlyList<Step> Candidates(LayerShape layer) => !IsOpen ? [] : [.. Configurations().Select(step => (Step: step, Bytes: step.Predict(layer, []).Sum(cost => cost.Bytes)))
        .Where(item => item.Bytes < layer.Count * 4).OrderBy(item => item.Bytes).Select(item => item.Step)];

    private static string[] BlockSettings => [nameof(BlockSize), nameof(ScaleBits), nameof(ScaleBlock), nameof(ScaleType)];

    private static string[] FactorSettings => [nameof(FactorType), nameof(Iterations), nameof(Axis), nameof(Accuracy), nameof(Parity), nameof(LoraAlpha)];

    private IEnumerable<LqLora> Configurations() =>
        from bits in AllBits
        from scaleBits in AllBits
        from type in ScaleTypes
        from blockSize in BlockSizes
        from scaleBlock in ScaleBlocks
        select With(bits, scaleBits, type, blockSize, scaleBlock);

    private LqLora With(int bits, int scaleBits, RealType type, int blockSize, int scaleBlock)
    {
        var step = (LqLora)Copy();
        (step.Bits, step.ScaleBits, step.ScaleType, step.BlockSize, step.ScaleBlock) = (bits, scaleBits, type, blockSize, scaleBlock);
        return step;
    }

    private static int BytesOf(RealType type) => type == RealType.Float32 ? 4 : 2;

    /// <summary>Exact bytes without the factors: codes and their table, scales, scales of scales and the smallest scale.</summary>
    private long GridBytes(long values)
    {
        long blocks = (values + BlockSize - 1) / BlockSize;
        long outer = (blocks + ScaleBlock - 1) / ScaleBlock;
        return NormalFloat.BytesWithoutScales(values, Bits) + (((blocks * ScaleBits) + 7) / 8) + (outer * BytesOf(ScaleType)) + OffsetBytes;
    }
}
