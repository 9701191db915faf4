using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A matrix on a uniform grid: w = scale · (code − zero point).</summary>
public sealed class Grid : Expression
{
    /// <summary>A grid from its stored tensors.</summary>
    /// <param name="geometry">Sizes, bits and groups.</param>
    /// <param name="codes">Packed codes [rows, row bytes] uint8: row by row, low bits first, each row padded to whole bytes.</param>
    /// <param name="scales">[1, 1], [rows, 1] or [rows, groups], float16 or float32.</param>
    /// <param name="zeros">Zero points uint8, in the shape of the scales; null for a symmetric grid.</param>
    /// <remarks>The expression takes ownership of the tensors, which must be contiguous and on the CPU.</remarks>
    public Grid(UniformGrid geometry, Tensor codes, Tensor scales, Tensor? zeros)
    {
        if ((geometry.Problem ?? Misfit(geometry, codes, scales, zeros)) is { } problem)
        {
            throw new ArgumentException(problem, nameof(geometry));
        }

        Geometry = geometry;
        Codes = codes.DetachFromDisposeScope();
        Scales = scales.DetachFromDisposeScope();
        Zeros = zeros?.DetachFromDisposeScope();
    }

    /// <summary>Sizes, bits and groups.</summary>
    public UniformGrid Geometry { get; }

    /// <summary>Packed codes, owned by this expression.</summary>
    public Tensor Codes { get; }

    /// <summary>Scales, owned by this expression.</summary>
    public Tensor Scales { get; }

    /// <summary>Zero points, owned by this expression, or null.</summary>
    public Tensor? Zeros { get; }

    /// <inheritdoc/>
    public override long Rows => Geometry.Rows;

    /// <inheritdoc/>
    public override long Columns => Geometry.Columns;

    /// <inheritdoc/>
    public override string Form => "grid";

    /// <summary>Packs plain codes.</summary>
    /// <param name="geometry">Sizes, bits and groups.</param>
    /// <param name="codes">[rows, columns] int16 within the grid's range, still the caller's.</param>
    /// <param name="scales">As for the constructor; the grid takes ownership.</param>
    /// <param name="zeros">As for the constructor; the grid takes ownership.</param>
    public static Grid Pack(UniformGrid geometry, Tensor codes, Tensor scales, Tensor? zeros)
    {
        var packed = empty(geometry.Rows, geometry.RowBytes, dtype: uint8);
        foreach (var (first, count) in RowBlocks.Of(geometry.Rows, geometry.Columns))
        {
            using var scope = NewDisposeScope();
            var from = MemoryMarshal.Cast<byte, short>(codes.narrow(0, first, count).contiguous().bytes);
            var to = packed.narrow(0, first, count).bytes;
            for (int row = 0; row < count; row++)
            {
                BitPacking.Pack(from.Slice(row * (int)geometry.Columns, (int)geometry.Columns), to.Slice(row * (int)geometry.RowBytes, (int)geometry.RowBytes), geometry.Bits);
            }
        }

        return new(geometry, packed, scales, zeros);
    }

    /// <summary>Rows of the matrix the codes stand for: the one truth for running, exporting and measuring.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="count">How many rows.</param>
    /// <returns>[count, columns] float32; the caller owns it.</returns>
    public Tensor Dequantize(long first, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first + count, Rows);
        var values = empty(count, Columns, dtype: float32);
        using var scope = NewDisposeScope();
        var scales = Lines(Scales, first, count).to(float32).bytes;
        var zeros = Zeros is null ? [] : Lines(Zeros, first, count).bytes;
        var packed = Codes.narrow(0, first, count).bytes;
        var target = MemoryMarshal.Cast<byte, float>(values.bytes);
        int groups = (int)Scales.shape[1];
        var codes = new short[Columns];
        for (int row = 0; row < count; row++)
        {
            int line = Scales.shape[0] == 1 ? 0 : row * groups;
            BitPacking.Unpack(packed.Slice(row * (int)Geometry.RowBytes, (int)Geometry.RowBytes), codes, Geometry.Bits, Geometry.Symmetric);
            Scale(codes, MemoryMarshal.Cast<byte, float>(scales).Slice(line, groups), zeros.IsEmpty ? [] : zeros.Slice(line, groups), target.Slice(row * codes.Length, codes.Length));
        }

        return values;
    }

    /// <summary>The matrix the codes stand for [rows, columns] float32; the caller owns it.</summary>
    public Tensor Dequantize()
    {
        var values = empty(Rows, Columns, dtype: float32);
        foreach (var (first, count) in RowBlocks.Of(Rows, Columns))
        {
            using var scope = NewDisposeScope();
            values.narrow(0, first, count).copy_(Dequantize(first, count));
        }

        return values;
    }

    /// <inheritdoc/>
    public override Tensor Materialize() => Dequantize();

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x) => RowBlocks.Product(x, Rows, Columns, Dequantize);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves() =>
        Zeros is null ? [("codes", Codes), ("scales", Scales)] : [("codes", Codes), ("scales", Scales), ("zeros", Zeros)];

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["bits"] = Geometry.Bits,
        ["columns"] = Columns,
        ["form"] = Form,
        ["granularity"] = SettingDescriptor.Format(Geometry.Granularity),
        ["groupSize"] = Geometry.GroupSize,
        ["rows"] = Rows,
        ["symmetric"] = Geometry.Symmetric,
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) => new Grid(Geometry, Codes.alias(), Scales.alias(), Zeros?.alias());

    internal static Grid Read(DescriptionReader description)
    {
        var geometry = new UniformGrid(
            description.Rows,
            description.Columns,
            (int)Math.Clamp(description.Integer("bits"), int.MinValue, int.MaxValue),
            description.Flag("symmetric"),
            description.Choice<Granularity>("granularity"),
            (int)Math.Clamp(description.Integer("groupSize"), int.MinValue, int.MaxValue));
        description.Require(geometry.Problem);
        return description.Owning(leaves => new Grid(
            geometry,
            leaves.Tensor("codes", [geometry.Rows, geometry.RowBytes], uint8),
            leaves.Tensor("scales", geometry.ScaleShape, float16, float32),
            geometry.Symmetric ? null : leaves.Tensor("zeros", geometry.ScaleShape, uint8)));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Codes.Dispose();
            Scales.Dispose();
            Zeros?.Dispose();
        }

        base.Dispose(disposing);
    }

    private static string? Misfit(UniformGrid geometry, Tensor codes, Tensor scales, Tensor? zeros)
    {
        long[] shape = geometry.ScaleShape;
        return codes.dtype != uint8 || !codes.shape.SequenceEqual([geometry.Rows, geometry.RowBytes]) ? "the codes do not fit the grid"
            : (scales.dtype != float16 && scales.dtype != float32) || !scales.shape.SequenceEqual(shape) ? "the scales do not fit the grid"
            : zeros is null != geometry.Symmetric ? "a grid has zero points exactly when it is not symmetric"
            : zeros is not null && (zeros.dtype != uint8 || !zeros.shape.SequenceEqual(shape)) ? "the zero points do not fit the grid"
            : null;
    }

    /// <summary>The scales or zero points of some rows.</summary>
    private static Tensor Lines(Tensor scales, long first, long count) => scales.shape[0] == 1 ? scales : scales.narrow(0, first, count);

    private void Scale(ReadOnlySpan<short> codes, ReadOnlySpan<float> scales, ReadOnlySpan<byte> zeros, Span<float> values)
    {
        int length = (int)Geometry.GroupLength;
        for (int group = 0; group < scales.Length; group++)
        {
            float scale = scales[group];
            int zero = zeros.IsEmpty ? 0 : zeros[group];
            int end = Math.Min(codes.Length, (group + 1) * length);
            for (int i = group * length; i < end; i++)
            {
                values[i] = scale * (codes[i] - zero);
            }
        }
    }
}
