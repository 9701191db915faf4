using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A weight on an integer grid, w = scale · (code − zero point), in the order of the model's own columns.</summary>
/// <remarks>Codes are unsigned: those of a signed grid are raised by 2^(bits − 1), which is then every zero point.</remarks>
internal sealed class IntegerGrid
{
    private readonly Grid grid;
    private readonly int[]? order;

    private IntegerGrid(Grid grid, int[]? order)
    {
        this.grid = grid;
        this.order = order;
        Rows = checked((int)grid.Rows);
        Columns = checked((int)grid.Columns);
        GroupLength = (int)grid.Geometry.GroupLength;
    }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Neighbours of the stored order that share a scale; all columns for one scale a row or matrix.</summary>
    public int GroupLength { get; }

    /// <summary>Groups a row.</summary>
    public int Groups => (Columns - 1) / GroupLength + 1;

    public int Bits => grid.Geometry.Bits;

    /// <summary>Whether every zero point is 2^(bits − 1) by construction.</summary>
    public bool IsSymmetric => grid.Geometry.Signed;

    /// <summary>Whether groups are made of columns in another order than the model's.</summary>
    public bool IsReordered => order is not null;

    /// <summary>Finds the integer grid in a weight.</summary>
    /// <param name="weight">The weight, which must live as long.</param>
    /// <param name="reason">Why there is none.</param>
    public static IntegerGrid? Find(Expression weight, out string reason)
    {
        var (inner, order) = weight is Permuted permuted ? (permuted.Inner, permuted.Order.data<int>().ToArray()) : (weight, null);
        var grid = inner as Grid;
        reason = grid is null ? $"a weight of the form '{weight.Form}' has no place in the format"
            : grid.Levels is not null ? "the codes stand for a table of levels"
            : grid.ZeroKind is ZeroKind.Offset or ZeroKind.SharedOffset ? "the zero points are real numbers and no codes"
            : "";
        return reason.Length == 0 ? new(grid!, order) : null;
    }

    /// <summary>The group of each of the model's columns.</summary>
    public int[] GroupOf()
    {
        int[] groups = new int[Columns];
        for (int j = 0; j < Columns; j++)
        {
            groups[order?[j] ?? j] = j / GroupLength;
        }

        return groups;
    }

    /// <summary>The unsigned codes [rows, columns].</summary>
    public byte[] Codes()
    {
        using var scope = NewDisposeScope();
        var stored = MemoryMarshal.Cast<byte, short>(grid.UnpackedCodes().bytes);
        int raise = IsSymmetric ? 1 << (Bits - 1) : 0;
        byte[] codes = new byte[checked(Rows * Columns)];
        for (int i = 0; i < codes.Length; i++)
        {
            var (row, column) = Math.DivRem(i, Columns);
            codes[row * Columns + (order?[column] ?? column)] = (byte)(stored[i] + raise);
        }

        return codes;
    }

    /// <summary>The zero points of the unsigned codes [rows, groups].</summary>
    public byte[] Zeros()
    {
        if (grid.Zeros is null)
        {
            byte[] zeros = new byte[Rows * Groups];
            zeros.AsSpan().Fill((byte)(IsSymmetric ? 1 << (Bits - 1) : 0));
            return zeros;
        }

        using var scope = NewDisposeScope();
        return grid.Zeros.expand(Rows, Groups).contiguous().bytes.ToArray();
    }

    /// <summary>The scales [rows, groups] float32; the caller owns them.</summary>
    public Tensor Scales()
    {
        using var scope = NewDisposeScope();
        return grid.Scales.Materialize().to(float32).expand(Rows, Groups).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>Whether every scale is a number of a narrower dtype.</summary>
    public bool ScalesFit(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var scales = Scales();
        return scales.to(type).to(float32).eq(scales).all().item<bool>();
    }
}
