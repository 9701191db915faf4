using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>An integer grid as blocks of a GGUF tensor: w = d · step with step = code − zero point.</summary>
/// <param name="grid">The grid.</param>
/// <param name="type">Q4_0 or Q8_0.</param>
internal sealed class GgufGrid(IntegerGrid grid, GgmlType type)
{
    /// <summary>Finds the blocks that hold a weight exactly.</summary>
    /// <param name="weight">The weight, which must live as long.</param>
    /// <param name="reason">Why there are none.</param>
    public static GgufGrid? Find(Expression weight, out string reason)
    {
        if (IntegerGrid.Find(weight, out reason) is not { } grid)
        {
            return null;
        }

        byte[] zeros = grid.Zeros();
        int lowest = -zeros.Max();
        int highest = (1 << grid.Bits) - 1 - zeros.Min();
        var type = lowest >= -8 && highest <= 7 ? GgmlType.Q4_0 : lowest >= -128 && highest <= 127 ? GgmlType.Q8_0 : null;
        reason = grid.IsReordered ? "its columns are in another order"
            : type is null ? $"steps from {lowest} to {highest} fit neither Q4_0 nor Q8_0"
            : grid.Columns % Q40Block.Elements != 0 || grid.GroupLength % Q40Block.Elements != 0 ? $"rows of {grid.Columns} in groups of {grid.GroupLength} are no whole blocks of {Q40Block.Elements}"
            : !grid.ScalesFit(float16) ? "the scales do not fit float16"
            : "";
        return reason.Length == 0 ? new(grid, type!) : null;
    }

    /// <summary>The tensor.</summary>
    /// <param name="place">Its name and the order of its rows.</param>
    public GgufPendingTensor Tensor(LlamaTensor place) => new(place.Name, type, [grid.Columns, grid.Rows], stream => Write(stream, place.RowOrder(grid.Rows)));

    private void Write(Stream stream, int[] rows)
    {
        using var scope = NewDisposeScope();
        byte[] codes = grid.Codes();
        byte[] zeros = grid.Zeros();
        var scales = MemoryMarshal.Cast<byte, float>(grid.Scales().bytes);
        byte[] blocks = new byte[grid.Columns / type.BlockElements * type.BlockBytes];
        foreach (int row in rows)
        {
            for (int block = 0; block < blocks.Length / type.BlockBytes; block++)
            {
                int column = block * type.BlockElements;
                int group = row * grid.Groups + column / grid.GroupLength;
                WriteBlock(codes.AsSpan(row * grid.Columns + column, type.BlockElements), zeros[group], scales[group], blocks.AsSpan(block * type.BlockBytes, type.BlockBytes));
            }

            stream.Write(blocks);
        }
    }

    private void WriteBlock(ReadOnlySpan<byte> codes, byte zero, float scale, Span<byte> block)
    {
        if (type == GgmlType.Q4_0)
        {
            Span<byte> raised = stackalloc byte[Q40Block.Elements];
            for (int i = 0; i < raised.Length; i++)
            {
                raised[i] = (byte)(codes[i] - zero + 8);
            }

            Q40Block.Write(scale, raised, block);
            return;
        }

        Span<sbyte> steps = stackalloc sbyte[Q80Block.Elements];
        for (int i = 0; i < steps.Length; i++)
        {
            steps[i] = (sbyte)(codes[i] - zero);
        }

        Q80Block.Write(scale, steps, block);
    }
}
