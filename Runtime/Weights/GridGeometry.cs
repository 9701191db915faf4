using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>The geometry of a grid: how many bits a code has and which codes share a scale.</summary>
/// <param name="Rows">Rows of the matrix.</param>
/// <param name="Columns">Columns of the matrix.</param>
/// <param name="Bits">2 to 8.</param>
/// <param name="Signed">Codes from −2^(bits−1) around zero; otherwise from 0.</param>
/// <param name="Granularity">What shares a scale.</param>
/// <param name="GroupSize">Codes of a row that share a scale, for <see cref="Granularity.Group"/>; the last group of a row may be shorter.</param>
public sealed record GridGeometry(long Rows, long Columns, int Bits, bool Signed, Granularity Granularity, int GroupSize)
{
    /// <summary>The grid that a step lays over a matrix: signed codes when symmetric, else unsigned ones with a zero point a group.</summary>
    public static GridGeometry For(Quantize step, long rows, long columns) => new(rows, columns, step.Bits, step.Symmetric, step.Granularity, step.GroupSize);

    /// <summary>The shape of scales and zero points: [1, 1], [rows, 1] or [rows, groups].</summary>
    public long[] ScaleShape => Granularity switch
    {
        Granularity.Tensor => [1, 1],
        Granularity.Channel => [Rows, 1],
        _ => [Rows, (Columns - 1) / GroupSize + 1],
    };

    /// <summary>Neighbours in a row that share a scale.</summary>
    public long GroupLength => Granularity == Granularity.Group ? Math.Min(GroupSize, Columns) : Columns;

    /// <summary>The smallest code.</summary>
    public int Lowest => Signed ? -(1 << (Bits - 1)) : 0;

    /// <summary>The largest code.</summary>
    public int Highest => Signed ? (1 << (Bits - 1)) - 1 : (1 << Bits) - 1;

    /// <summary>Bytes of a row of packed codes.</summary>
    public long RowBytes => BitPacking.RowBytes(Columns, Bits);

    /// <summary>What each group has, in the shape of scales, made one value a column, or left where it broadcasts to the matrix; differentiable, in the current dispose scope.</summary>
    internal Tensor Spread(Tensor perGroup) => perGroup.shape[^1] > 1 ? perGroup.repeat_interleave(GroupLength, 1).narrow(1, 0, Columns) : perGroup;

    /// <summary>The columns [..., columns] cut into groups [..., groups, group length]; a shorter last group is filled up with zeros. Differentiable, in the current dispose scope.</summary>
    internal Tensor Cut(Tensor values)
    {
        long missing = (GroupLength - Columns % GroupLength) % GroupLength;
        return (missing == 0 ? values : nn.functional.pad(values, [0, missing])).reshape([.. values.shape[..^1], -1, GroupLength]);
    }

    /// <summary>What is wrong with the numbers, or null.</summary>
    public string? Problem =>
        Rows < 1 || Columns < 1 || Columns > int.MaxValue ? $"a grid of {Rows} × {Columns} codes is impossible"
        : Bits is < 2 or > 8 ? $"{Bits} bits a code; 2 to 8 are possible"
        : !Enum.IsDefined(Granularity) ? $"unknown granularity '{Granularity}'"
        : Granularity == Granularity.Group && GroupSize < 1 ? $"groups of {GroupSize} codes are impossible"
        : null;
}
