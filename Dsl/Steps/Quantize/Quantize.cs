using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Rounds every value to the nearest point of a uniform grid of few bits, with one scale a tensor, row or group.</summary>
public class Quantize : FewBits
{
    /// <summary>What shares one scale.</summary>
    public Granularity Granularity { get; set; }

    /// <summary>Consecutive values of a row that share one scale; the last group of a row may be shorter.</summary>
    [Within(2, int.MaxValue)]
    public int GroupSize { get; set; } = 32;

    /// <summary>Whether the grid is centred on zero; otherwise it spans the smallest to the largest value and stores a zero point.</summary>
    public bool Symmetric { get; set; } = true;

    /// <summary>How scales are stored; codes are computed with the stored value.</summary>
    public ScaleType ScaleType { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (Granularity != Granularity.Group && given.Contains(nameof(GroupSize)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(GroupSize), $"'groupSize' has no meaning with one scale a {Granularity.ToString().ToLowerInvariant()}; drop it or say 'granularity: group'");
        }
        else if (Granularity == Granularity.Group && layer is not null && given.Contains(nameof(GroupSize)) && GroupSize > layer.Columns)
        {
            yield return StepProblem.AtMost(DiagnosticIds.GroupTooLarge, nameof(GroupSize), layer.Columns, $"a group of {GroupSize} is longer than a row of {layer.Columns}; use at most {layer.Columns} or say 'granularity: channel'");
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. factors.Select(factor => factor.IsVector ? factor : factor with { Bytes = BytesFor(factor.Rows, factor.Columns) })];

    /// <summary>Exact bytes of a quantised matrix: packed codes, scales and zero points.</summary>
    public long BytesFor(long rows, long columns)
    {
        long groups = Granularity switch
        {
            Granularity.Tensor => 1,
            Granularity.Channel => rows,
            _ => rows * ((columns + GroupSize - 1) / GroupSize),
        };
        long codes = rows * ((columns * Bits + 7) / 8);
        return codes + groups * (ScaleBytes + (Symmetric ? 0 : ZeroBytes));
    }

    private protected int ScaleBytes => ScaleType == ScaleType.Float32 ? 4 : 2;

    /// <summary>Bytes of what an asymmetric grid stores beside a scale.</summary>
    private protected virtual int ZeroBytes => 1;
}

/// <summary>What shares one scale.</summary>
public enum Granularity
{
    /// <summary>A group of consecutive values of a row.</summary>
    Group,

    /// <summary>A row.</summary>
    Channel,

    /// <summary>The whole matrix.</summary>
    Tensor,
}

/// <summary>How a scale is stored.</summary>
public enum ScaleType
{
    /// <summary>16-bit IEEE float.</summary>
    Float16,

    /// <summary>32-bit IEEE float.</summary>
    Float32,
}
