using System.Numerics;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A matrix whose entries are looked up: runs of neighbours in a row are codewords of a table that all rows share, or that each row has for itself.</summary>
public sealed class Codebook : Expression
{
    private const int MostBits = 16;

    /// <summary>A looked-up matrix from its stored tensors.</summary>
    /// <param name="codes">Packed indices uint8, one for <c>D</c> columns, low bits first, ⌈log2 K⌉ bits each: [rows, row bytes] where each row has a table, [1, bytes] without gaps between rows where all share one.</param>
    /// <param name="tables">[1 or rows, K, D] float16 or float32: K codewords of D neighbours, for all rows or for each.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Columns of the matrix, a multiple of D.</param>
    /// <exception cref="ArgumentException">Codes, tables, rows and columns do not fit each other.</exception>
    /// <remarks>The expression takes ownership of the tensors, which must be contiguous and on the CPU. Every index must be below K.</remarks>
    public Codebook(Tensor codes, Tensor tables, long rows, long columns)
    {
        if (Misfit(codes, tables, rows, columns) is { } problem)
        {
            throw new ArgumentException(problem, nameof(codes));
        }

        Codes = codes.DetachFromDisposeScope();
        Tables = tables.DetachFromDisposeScope();
        Rows = rows;
        Columns = columns;
    }

    /// <summary>Packed indices, owned by this expression.</summary>
    public Tensor Codes { get; }

    /// <summary>Codewords [1 or rows, K, D], owned by this expression.</summary>
    public Tensor Tables { get; }

    /// <summary>Bits an index.</summary>
    public int Bits => BitsFor(Tables.shape[1]);

    /// <summary>Neighbours in a row that are one codeword.</summary>
    public long Width => Tables.shape[2];

    /// <inheritdoc/>
    public override long Rows { get; }

    /// <inheritdoc/>
    public override long Columns { get; }

    /// <inheritdoc/>
    public override string Form => "codebook";

    /// <summary>Packs plain indices.</summary>
    /// <param name="codes">[rows, columns / D] int16 (above 32767 as the same 16 bits), still the caller's.</param>
    /// <param name="tables">As for the constructor; the expression takes ownership.</param>
    public static Codebook Pack(Tensor codes, Tensor tables)
    {
        using var lines = tables.shape[0] == 1 ? codes.reshape(1, -1) : codes.alias();
        return new(BitPacking.PackRows(lines, BitsFor(tables.shape[1])), tables, codes.shape[0], codes.shape[1] * tables.shape[2]);
    }

    /// <summary>The indices [rows, columns / D] int64; the caller owns them.</summary>
    public Tensor Indices() => Indices(0, Rows);

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        // In blocks, for plain indices take half as much again.
        var matrix = empty(Rows, Columns);
        foreach (var (first, count) in RowBlocks.Of(Rows, Columns))
        {
            using var scope = NewDisposeScope();
            matrix.narrow(0, first, count).copy_(Look(first, count));
        }

        return matrix;
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x) => RowBlocks.Product(x, Rows, Columns, Look);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [("codes", Codes), ("tables", Tables)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["codewords"] = Tables.shape[1],
        ["columns"] = Columns,
        ["form"] = Form,
        ["perRow"] = Tables.shape[0] != 1 || Rows == 1,
        ["rows"] = Rows,
        ["width"] = Width,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Codebook(Codes.alias(), Tables.alias(), Rows, Columns);

    internal static Codebook Read(DescriptionReader description)
    {
        var (rows, columns, codewords, width) = (description.Rows, description.Columns, description.Integer("codewords"), description.Integer("width"));
        description.Require(codewords is < 1 or > 1 << MostBits || width < 1 || columns % width != 0 ? $"{codewords} codewords of {width} columns are impossible" : null);
        description.Require((Int128)rows * columns > long.MaxValue / MostBits ? $"{rows} × {columns} values are too many" : null);
        bool perRow = description.Flag("perRow");
        var codebook = description.Owning(leaves => new Codebook(
            leaves.Tensor("codes", CodesShape(perRow, rows, columns / width, BitsFor(codewords)), uint8),
            leaves.Tensor("tables", [perRow ? rows : 1, codewords, width], float16, float32),
            rows,
            columns));
        using var indices = codebook.Indices();
        using var largest = indices.max();
        if (largest.item<long>() >= codewords)
        {
            codebook.Dispose();
            throw new InvalidDataException($"damaged weight description: an index of {largest.item<long>()} into {codewords} codewords");
        }

        return codebook;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Codes.Dispose();
            Tables.Dispose();
        }

        base.Dispose(disposing);
    }

    private static int BitsFor(long codewords) => Math.Max(1, BitOperations.Log2((ulong)Math.Max(1, codewords - 1)) + 1);

    private static long[] CodesShape(bool perRow, long rows, long indices, int bits) =>
        perRow ? [rows, BitPacking.RowBytes(indices, bits)] : [1, BitPacking.RowBytes(rows * indices, bits)];

    private static string? Misfit(Tensor codes, Tensor tables, long rows, long columns) =>
        rows < 1 ? $"there are {rows} rows"
        : tables.dim() != 3 || tables.shape[1] is < 1 or > 1 << MostBits || tables.shape[2] < 1 || (tables.dtype != float16 && tables.dtype != float32) ? "the codewords are no table"
        : columns < 1 || columns % tables.shape[2] != 0 ? $"{columns} columns are no multiple of codewords of {tables.shape[2]}"
        : tables.shape[0] != 1 && tables.shape[0] != rows ? "there must be one table, or one a row"
        : codes.dtype != uint8 || !codes.shape.SequenceEqual(CodesShape(tables.shape[0] != 1, rows, columns / tables.shape[2], BitsFor(tables.shape[1]))) ? "the indices do not fit the table"
        : null;

    /// <summary>Rows of the matrix [count, columns] float32; the caller owns them.</summary>
    private Tensor Look(long first, long count)
    {
        using var scope = NewDisposeScope();
        var indices = Indices(first, count);
        if (Tables.shape[0] == 1)
        {
            return Tables[0].to(float32).index_select(0, indices.reshape(-1)).reshape(count, Columns).MoveToOuterDisposeScope();
        }

        var tables = Tables.narrow(0, first, count).to(float32);
        return tables.gather(1, indices.unsqueeze(-1).expand(-1, -1, Width)).reshape(count, Columns).MoveToOuterDisposeScope();
    }

    private Tensor Indices(long first, long count)
    {
        using var scope = NewDisposeScope();
        long length = Columns / Width;
        if (Tables.shape[0] != 1)
        {
            return Plain(BitPacking.UnpackRows(Codes.narrow(0, first, count), length, Bits, signed: false)).MoveToOuterDisposeScope();
        }

        // Eight indices are whole bytes, whatever their bits.
        long lead = first * length % 8;
        long wanted = lead + (count * length);
        var run = Codes.narrow(1, ((first * length) - lead) * Bits / 8, BitPacking.RowBytes(wanted, Bits));
        return Plain(BitPacking.UnpackRows(run, wanted, Bits, signed: false).narrow(1, lead, count * length).reshape(count, length)).MoveToOuterDisposeScope();
    }

    /// <summary>16 bits that were read as a signed number.</summary>
    private static Tensor Plain(Tensor codes) => codes.to(int64).bitwise_and_(0xFFFF);
}
