using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>W = Q ⊙ (u vᵀ): a sign a value and magnitudes of low rank, one block of BitStack (arXiv:2410.23918).</summary>
public sealed class SignLowRank : Expression
{
    /// <summary>A block from its stored tensors.</summary>
    /// <param name="bits">Signs of all values row by row, uint8 [ceil(rows · columns / 8)]: 1 for +, first sign in the highest bit, zero padding.</param>
    /// <param name="u">[rows, rank] float16.</param>
    /// <param name="vt">[rank, columns] float16.</param>
    /// <remarks>The expression takes ownership of the tensors, which must be contiguous and on the CPU.</remarks>
    public SignLowRank(Tensor bits, Tensor u, Tensor vt)
    {
        if (Misfit(bits, u, vt) is { } problem)
        {
            throw new ArgumentException(problem, nameof(bits));
        }

        Bits = bits.DetachFromDisposeScope();
        U = u.DetachFromDisposeScope();
        Vt = vt.DetachFromDisposeScope();
    }

    /// <summary>Packed signs, owned by this expression.</summary>
    public Tensor Bits { get; }

    /// <summary>[rows, rank], owned by this expression.</summary>
    public Tensor U { get; }

    /// <summary>[rank, columns], owned by this expression.</summary>
    public Tensor Vt { get; }

    /// <inheritdoc/>
    public override long Rows => U.shape[0];

    /// <inheritdoc/>
    public override long Columns => Vt.shape[1];

    /// <inheritdoc/>
    public override string Form => "signLowRank";

    /// <summary>Packs the signs of a matrix.</summary>
    /// <param name="signed">[rows, columns] float64 whose signs are taken, zero as +; still the caller's.</param>
    /// <param name="u">As for the constructor; the block takes ownership.</param>
    /// <param name="vt">As for the constructor; the block takes ownership.</param>
    public static SignLowRank Pack(Tensor signed, Tensor u, Tensor vt)
    {
        var bits = zeros(SignBits.Bytes(signed.numel()), dtype: uint8);
        using (var values = signed.contiguous())
        {
            SignBits.Pack(MemoryMarshal.Cast<byte, double>(values.bytes), bits.bytes);
        }

        return new(bits, u, vt);
    }

    /// <inheritdoc/>
    public override Tensor Materialize()
    {
        var values = empty(Rows, Columns, dtype: float32);
        foreach (var (first, count) in RowBlocks.Of(Rows, Columns))
        {
            using var scope = NewDisposeScope();
            values.narrow(0, first, count).copy_(Lines(first, count));
        }

        return values;
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x) => RowBlocks.Product(x, Rows, Columns, Lines);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() => [("bits", Bits), ("u", U), ("vt", Vt)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["columns"] = Columns,
        ["form"] = Form,
        ["rank"] = U.shape[1],
        ["rows"] = Rows,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new SignLowRank(Bits.alias(), U.alias(), Vt.alias());

    internal static SignLowRank Read(DescriptionReader description)
    {
        long rows = description.Rows;
        long columns = description.Columns;
        long rank = description.Integer("rank");
        description.Require(rank < 1 ? $"'rank' is {rank}" : columns > (long.MaxValue - 7) / rows ? $"{rows} × {columns} signs are impossible" : null);
        return description.Owning(leaves => new SignLowRank(
            leaves.Tensor("bits", [SignBits.Bytes(rows * columns)], uint8),
            leaves.Tensor("u", [rows, rank], float16),
            leaves.Tensor("vt", [rank, columns], float16)));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Bits.Dispose();
            U.Dispose();
            Vt.Dispose();
        }

        base.Dispose(disposing);
    }

    private static string? Misfit(Tensor bits, Tensor u, Tensor vt) =>
        u.dim() != 2 || vt.dim() != 2 || u.shape[1] != vt.shape[0] || u.dtype != float16 || vt.dtype != float16 ? "the factors are no pair of float16 matrices"
        : bits.dtype != uint8 || !bits.shape.SequenceEqual([SignBits.Bytes(u.shape[0] * vt.shape[1])]) ? "the signs do not fit the factors"
        : null;

    /// <summary>Rows of the matrix [count, columns] float32; in the caller's dispose scope.</summary>
    private Tensor Lines(long first, long count)
    {
        var values = U.narrow(0, first, count).to(float32).mm(Vt.to(float32));
        SignBits.Apply(Bits.bytes, first * Columns, MemoryMarshal.Cast<byte, float>(values.bytes));
        return values;
    }
}
