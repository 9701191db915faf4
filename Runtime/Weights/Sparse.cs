using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A matrix of which few entries are not zero, row by row (CSR): what a grid or a codebook leaves out because it must be kept as it is.</summary>
public sealed class Sparse : Expression
{
    /// <summary>A sparse matrix from its stored tensors.</summary>
    /// <param name="offsets">Where each row's entries start, and at the end their number [rows + 1] int32.</param>
    /// <param name="indices">The column of each entry, rising in a row [entries]; int16 for up to 32768 columns, else int32.</param>
    /// <param name="values">The entries [entries] float16 or float32.</param>
    /// <param name="columns">Columns of the matrix.</param>
    /// <exception cref="ArgumentException">The tensors do not fit each other.</exception>
    /// <remarks>The expression takes ownership of the tensors, which must be contiguous and on the CPU. A matrix may have no entries at all.</remarks>
    public Sparse(Tensor offsets, Tensor indices, Tensor values, long columns)
    {
        if ((MisfitOfShapes(offsets, indices, values, columns) ?? MisfitOfContent(offsets, indices, columns)) is { } problem)
        {
            throw new ArgumentException(problem, nameof(indices));
        }

        Offsets = offsets.DetachFromDisposeScope();
        Indices = indices.DetachFromDisposeScope();
        Values = values.DetachFromDisposeScope();
        Columns = columns;
    }

    /// <summary>Where each row's entries start, owned by this expression.</summary>
    public Tensor Offsets { get; }

    /// <summary>The column of each entry, owned by this expression.</summary>
    public Tensor Indices { get; }

    /// <summary>The entries, owned by this expression.</summary>
    public Tensor Values { get; }

    /// <summary>Number of entries.</summary>
    public long Count => Values.shape[0];

    /// <inheritdoc/>
    public override long Rows => Offsets.shape[0] - 1;

    /// <inheritdoc/>
    public override long Columns { get; }

    /// <inheritdoc/>
    public override string Form => "sparse";

    /// <summary>Takes entries out of a dense matrix.</summary>
    /// <param name="matrix">[rows, columns], still the caller's.</param>
    /// <param name="kept">Which entries [rows, columns] bool, still the caller's.</param>
    /// <param name="dtype">float16 or float32.</param>
    public static Sparse Of(Tensor matrix, Tensor kept, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        long columns = matrix.shape[1];
        var flat = kept.reshape(-1).nonzero().squeeze(1);
        var ends = kept.sum(1).cumsum(0);
        return new(
            cat([zeros(1, dtype: int64), ends]).to(int32),
            flat.remainder(columns).to(IndexType(columns)),
            matrix.reshape(-1).index_select(0, flat).to(dtype, copy: true),
            columns);
    }

    /// <summary>The smallest integer that holds every column's index.</summary>
    public static ScalarType IndexType(long columns) => columns <= short.MaxValue + 1L ? int16 : int32;

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        using var scope = NewDisposeScope();
        return zeros(Rows * Columns, dtype: float32).index_copy_(0, Lines() * Columns + Indices.to(int64), Values.to(float32)).reshape(Rows, Columns).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x)
    {
        using var scope = NewDisposeScope();

        // The sparse product knows no half precision.
        var inputs = x.reshape(-1, Columns).to(Dtypes.Wide(x.dtype)).mT.contiguous();
        var matrix = sparse_coo_tensor(stack([Lines(), Indices.to(int64)]), Values.to(inputs.dtype), [Rows, Columns]);
        return matrix.mm(inputs).mT.to(x.dtype).reshape([.. x.shape[..^1], Rows]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [("indices", Indices), ("offsets", Offsets), ("values", Values)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new() { ["columns"] = Columns, ["count"] = Count, ["form"] = Form, ["rows"] = Rows };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Sparse(Offsets.alias(), Indices.alias(), Values.alias(), Columns);

    internal static Sparse Read(DescriptionReader description)
    {
        var (rows, columns, count) = (description.Rows, description.Columns, description.Integer("count"));
        description.Require(count < 0 || rows == long.MaxValue ? $"{count} entries in {rows} rows are impossible" : null);
        return description.Owning(leaves => new Sparse(
            leaves.Tensor("offsets", [rows + 1], int32),
            leaves.Tensor("indices", [count], IndexType(columns)),
            leaves.Tensor("values", [count], float16, float32),
            columns));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Offsets.Dispose();
            Indices.Dispose();
            Values.Dispose();
        }

        base.Dispose(disposing);
    }

    private static string? MisfitOfShapes(Tensor offsets, Tensor indices, Tensor values, long columns) =>
        offsets.dtype != int32 || offsets.dim() != 1 || offsets.shape[0] < 2 ? "the offsets are no int32 list of rows"
        : columns is < 1 or > int.MaxValue ? $"{columns} columns are impossible"
        : indices.dtype != IndexType(columns) || indices.dim() != 1 ? $"the indices into {columns} columns are no list of {IndexType(columns)}"
        : (values.dtype != float16 && values.dtype != float32) || !values.shape.SequenceEqual(indices.shape) ? "there must be one float16 or float32 value an index"
        : null;

    private static string? MisfitOfContent(Tensor offsets, Tensor indices, long columns)
    {
        using var scope = NewDisposeScope();
        var starts = MemoryMarshal.Cast<byte, int>(offsets.bytes);
        var places = indices.numel() == 0 ? [] : MemoryMarshal.Cast<byte, int>(indices.to(int32).bytes);
        if (starts[0] != 0 || starts[^1] != places.Length)
        {
            return $"rows from {starts[0]} to {starts[^1]} do not cover {places.Length} entries";
        }

        for (int row = 0; row + 1 < starts.Length; row++)
        {
            if (starts[row + 1] < starts[row] || starts[row + 1] > places.Length)
            {
                return $"row {row} ends before it starts, or behind the last entry";
            }

            int least = 0;
            foreach (int place in places[starts[row]..starts[row + 1]])
            {
                if (place < least || place >= columns)
                {
                    return $"index {place} of row {row} is outside {columns} columns or not above the one before";
                }

                least = place + 1;
            }
        }

        return null;
    }

    /// <summary>The row of each entry [entries] int64; the caller owns it.</summary>
    private Tensor Lines()
    {
        using var scope = NewDisposeScope();
        return arange(Rows, dtype: int64).repeat_interleave(Offsets.diff().to(int64)).MoveToOuterDisposeScope();
    }
}
