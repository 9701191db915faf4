using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Codes of a matrix, read in blocks of rows.</summary>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">Columns.</param>
/// <param name="Read">Codes of a count of rows from the first on [count, columns], integers: indices into a table, or levels within a signed byte.</param>
internal sealed record PackedCodes(long Rows, long Columns, Func<long, long, Tensor> Read);

/// <summary>A form of few bits taken apart for the kernel: w = scale · level(code) + offset. Tensors belong to the caller's dispose scope.</summary>
/// <param name="Codes">The codes.</param>
/// <param name="Tables">Levels of codes [1 or rows, 16] float32; null for codes that are levels themselves.</param>
/// <param name="Scales">[rows, groups] float32.</param>
/// <param name="Offsets">[rows, groups] float32, or null.</param>
/// <param name="OffsetsInSteps">Whether offsets count steps of the scale.</param>
/// <param name="GroupLength">Columns that share a scale.</param>
/// <param name="Lowest">What index 0 stands for where levels are one apart; null for tables of their own.</param>
internal sealed record PackedParts(PackedCodes Codes, Tensor? Tables, Tensor Scales, Tensor? Offsets, bool OffsetsInSteps, long GroupLength, int? Lowest = null)
{
    private const int TableSize = 16;
    private const int NibbleBits = 4;
    private const int ByteMiddle = 128;

    /// <summary>The same with codes that are themselves the levels: what the levels were moved by is part of the offsets.</summary>
    public PackedParts FromZero()
    {
        if (Lowest is not { } lowest || lowest == 0)
        {
            return this;
        }

        var offsets = Offsets is null ? full_like(Scales, lowest) : OffsetsInSteps ? Offsets + lowest : Offsets + (Scales * lowest);
        return this with { Tables = arange(TableSize, dtype: float32).reshape(1, TableSize), Offsets = offsets, OffsetsInSteps = Offsets is null || OffsetsInSteps, Lowest = 0 };
    }

    /// <summary>The parts of a form, or null for one that the kernel does not know.</summary>
    public static PackedParts? Of(Expression form) => form switch
    {
        Grid grid when grid.Levels is null || grid.Geometry.Bits <= NibbleBits => Of(grid, grid.Rows, grid.Columns),
        Reshaped { Inner: Grid { Rows: 1 } grid } flat when (grid.Levels is null || grid.Geometry.Bits <= NibbleBits) && flat.Columns % grid.Geometry.GroupLength == 0 => Of(grid, flat.Rows, flat.Columns),
        Codebook { Width: 1, Bits: <= NibbleBits } book => Of(book),
        _ => null,
    };

    /// <summary>A grid, or one whose single row is cut into the rows of a matrix.</summary>
    private static PackedParts Of(Grid grid, long rows, long columns)
    {
        var geometry = grid.Geometry;
        bool single = geometry.Rows == 1 && rows != 1;
        long length = single ? geometry.GroupLength : Math.Min(geometry.GroupLength, columns);
        long groups = (columns + length - 1) / length;
        bool nibbles = geometry.Bits <= NibbleBits;

        Tensor Spread(Tensor values) => (values.numel() == 1 ? values.to(float32).reshape(1, 1).expand(rows, groups) : values.to(float32).reshape(rows, groups)).contiguous();

        var scales = Spread(grid.Scales.Materialize());
        var offsets = grid.ZeroKind switch
        {
            ZeroKind.None => null,
            ZeroKind.Code => -Spread(grid.Zeros!),
            _ => Spread(grid.Zeros!),
        };

        // Table entries, or signed bytes: what codes are moved by is part of the offset then.
        int shift = nibbles ? -geometry.Lowest : geometry.Signed ? 0 : -ByteMiddle;
        bool inSteps = grid.ZeroKind is ZeroKind.None or ZeroKind.Code;
        if (!nibbles && shift != 0)
        {
            var moved = inSteps ? full_like(scales, -shift) : scales * -shift;
            offsets = offsets is null ? moved : offsets + moved;
        }

        var tables = !nibbles ? null : nn.functional.pad(grid.Levels ?? arange(geometry.Lowest, geometry.Highest + 1, dtype: float32), [0, TableSize - (1 << geometry.Bits)]).reshape(1, TableSize);
        return new(new(rows, columns, Read), tables, scales, offsets, inSteps, length, nibbles && grid.Levels is null ? geometry.Lowest : null);

        Tensor Read(long first, long count)
        {
            using var scope = NewDisposeScope();
            var packed = single
                ? BitPacking.UnpackRows(grid.Codes, rows * columns, geometry.Bits, geometry.Signed).reshape(rows, columns).narrow(0, first, count)
                : BitPacking.UnpackRows(grid.Codes.narrow(0, first, count), columns, geometry.Bits, geometry.Signed);
            return (packed + (short)shift).MoveToOuterDisposeScope();
        }
    }

    private static PackedParts Of(Codebook book)
    {
        var tables = book.Tables.to(float32).reshape(book.Tables.shape[0], -1);
        tables = nn.functional.pad(tables, [0, TableSize - tables.shape[1]]);
        var indices = book.Indices();
        return new(new(book.Rows, book.Columns, (first, count) => indices.narrow(0, first, count)), tables, ones(book.Rows, 1), null, false, book.Columns);
    }
}
