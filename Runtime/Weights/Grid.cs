using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A matrix on a grid of few bits: w = scale · level(code), where a level is code − zero point, or an entry of a table, and w may be offset.</summary>
/// <remarks>Scales are a form of their own, so that they can be on a grid themselves (double quantisation).</remarks>
public sealed class Grid : Expression
{
    /// <summary>A grid from its stored parts.</summary>
    /// <param name="geometry">Sizes, bits and groups.</param>
    /// <param name="codes">Packed codes [rows, row bytes] uint8: row by row, low bits first, each row padded to whole bytes.</param>
    /// <param name="scales">A form of [1, 1], [rows, 1] or [rows, groups]; stored values are float16, bfloat16 or float32.</param>
    /// <param name="zeros">
    /// Null; or integer zero points of unsigned codes, uint8 in the shape of the scales: w = s · (q − z); or offsets, float16 or float32 in the shape of the scales
    /// or [1, 1]: w = s · level(q) + z.
    /// </param>
    /// <param name="levels">Null for level(q) = q, or float32 [2^bits] for unsigned codes.</param>
    /// <remarks>The expression takes ownership of its parts, whose tensors must be contiguous and on the CPU.</remarks>
    public Grid(GridGeometry geometry, Tensor codes, Expression scales, Tensor? zeros, Tensor? levels = null)
    {
        if ((geometry.Problem ?? Misfit(geometry, codes, scales, zeros, levels)) is { } problem)
        {
            throw new ArgumentException(problem, nameof(geometry));
        }

        Geometry = geometry;
        Codes = codes.DetachFromDisposeScope();
        Scales = scales;
        Zeros = zeros?.DetachFromDisposeScope();
        Levels = levels?.DetachFromDisposeScope();
    }

    /// <summary>Sizes, bits and groups.</summary>
    public GridGeometry Geometry { get; }

    /// <summary>Packed codes, owned by this expression.</summary>
    public Tensor Codes { get; }

    /// <summary>Scales, owned by this expression.</summary>
    public Expression Scales { get; }

    /// <summary>Zero points (uint8) or offsets (float16 or float32), owned by this expression, or null.</summary>
    public Tensor? Zeros { get; }

    /// <summary>The table that codes are looked up in [2^bits] float32, owned by this expression, or null.</summary>
    public Tensor? Levels { get; }

    /// <summary>What <see cref="Zeros"/> are.</summary>
    public ZeroKind ZeroKind => Zeros is null ? ZeroKind.None
        : Zeros.dtype == uint8 ? ZeroKind.Code
        : Zeros.shape.SequenceEqual(Geometry.ScaleShape) ? ZeroKind.Offset
        : ZeroKind.SharedOffset;

    /// <inheritdoc/>
    public override long Rows => Geometry.Rows;

    /// <inheritdoc/>
    public override long Columns => Geometry.Columns;

    /// <inheritdoc/>
    public override string Form => "grid";

    /// <summary>Packs plain codes with plain scales.</summary>
    /// <param name="geometry">Sizes, bits and groups.</param>
    /// <param name="codes">[rows, columns] int16 within the grid's range, still the caller's.</param>
    /// <param name="scales">In the grid's scale shape; the grid takes ownership.</param>
    /// <param name="zeros">As for the constructor; the grid takes ownership.</param>
    /// <param name="levels">As for the constructor; the grid takes ownership.</param>
    public static Grid Pack(GridGeometry geometry, Tensor codes, Tensor scales, Tensor? zeros, Tensor? levels = null) => Pack(geometry, codes, new Dense(scales), zeros, levels);

    /// <summary>Packs plain codes.</summary>
    /// <param name="geometry">Sizes, bits and groups.</param>
    /// <param name="codes">[rows, columns] int16 within the grid's range, still the caller's.</param>
    /// <param name="scales">As for the constructor; the grid takes ownership.</param>
    /// <param name="zeros">As for the constructor; the grid takes ownership.</param>
    /// <param name="levels">As for the constructor; the grid takes ownership.</param>
    public static Grid Pack(GridGeometry geometry, Tensor codes, Expression scales, Tensor? zeros, Tensor? levels = null) =>
        new(geometry, BitPacking.PackRows(codes, geometry.Bits), scales, zeros, levels);

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
        var scales = new Lines(ScaleRows(first, count), Geometry.Granularity == Granularity.Tensor);
        var zeros = Zeros is null ? null : new Lines(Zeros.shape[0] == 1 ? Zeros : Zeros.narrow(0, first, count), Zeros.shape[0] == 1);
        var levels = Levels is null ? [] : MemoryMarshal.Cast<byte, float>(Levels.bytes);
        var packed = Codes.narrow(0, first, count).bytes;
        var target = MemoryMarshal.Cast<byte, float>(values.bytes);
        var codes = new short[Columns];
        for (int row = 0; row < count; row++)
        {
            BitPacking.Unpack(packed.Slice(row * (int)Geometry.RowBytes, (int)Geometry.RowBytes), codes, Geometry.Bits, Geometry.Signed);
            Scale(codes, scales.Of(row), zeros is null ? [] : zeros.Of(row), levels, target.Slice(row * codes.Length, codes.Length));
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

    /// <summary>The codes [rows, columns] int16; the caller owns them.</summary>
    public Tensor UnpackedCodes() => BitPacking.UnpackRows(Codes, Columns, Geometry.Bits, Geometry.Signed);

    /// <inheritdoc/>
    public override Tensor Materialize() => Dequantize();

    /// <inheritdoc/>
    public override IEnumerable<Tensor> MaterializeBlocks(long height)
    {
        for (long first = 0; first < Rows; first += height)
        {
            yield return Dequantize(first, Math.Min(height, Rows - first));
        }
    }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x) => RowBlocks.Product(x, Rows, Columns, Dequantize);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> Leaves()
    {
        yield return ("codes", Codes);
        if (Levels is not null)
        {
            yield return ("levels", Levels);
        }

        foreach (var leaf in Scales.LeavesOf("scales"))
        {
            yield return leaf;
        }

        if (Zeros is not null)
        {
            yield return ("zeros", Zeros);
        }
    }

    /// <inheritdoc/>
    public override JsonObject Describe() => new()
    {
        ["bits"] = Geometry.Bits,
        ["columns"] = Columns,
        ["form"] = Form,
        ["granularity"] = SettingDescriptor.Format(Geometry.Granularity),
        ["groupSize"] = Geometry.GroupSize,
        ["hasLevels"] = Levels is not null,
        ["rows"] = Rows,
        ["scales"] = Scales.Describe(),
        ["signed"] = Geometry.Signed,
        ["zeros"] = SettingDescriptor.Format(ZeroKind),
    };

    /// <inheritdoc/>
    public override Expression RewriteDense(Func<Dense, Expression> rewrite) =>
        new Grid(Geometry, Codes.alias(), Scales.RewriteDense(scales => new Dense(scales.Matrix.alias())), Zeros?.alias(), Levels?.alias());

    internal static Grid Read(DescriptionReader description)
    {
        var geometry = new GridGeometry(
            description.Rows,
            description.Columns,
            (int)Math.Clamp(description.Integer("bits"), int.MinValue, int.MaxValue),
            description.Flag("signed"),
            description.Choice<Granularity>("granularity"),
            (int)Math.Clamp(description.Integer("groupSize"), int.MinValue, int.MaxValue));
        description.Require(geometry.Problem);
        var zeros = description.Choice<ZeroKind>("zeros");
        return description.Owning(leaves => new Grid(
            geometry,
            leaves.Tensor("codes", [geometry.Rows, geometry.RowBytes], uint8),
            leaves.Part("scales"),
            zeros == ZeroKind.None ? null : leaves.Tensor("zeros", zeros == ZeroKind.SharedOffset ? [1, 1] : geometry.ScaleShape, zeros == ZeroKind.Code ? [uint8] : [float16, float32]),
            description.Flag("hasLevels") ? leaves.Tensor("levels", [1L << geometry.Bits], float32) : null));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Codes.Dispose();
            Scales.Dispose();
            Zeros?.Dispose();
            Levels?.Dispose();
        }

        base.Dispose(disposing);
    }

    private static string? Misfit(GridGeometry geometry, Tensor codes, Expression scales, Tensor? zeros, Tensor? levels)
    {
        long[] shape = geometry.ScaleShape;
        bool integers = zeros?.dtype == uint8;
        bool offsets = zeros is not null && (zeros.dtype == float16 || zeros.dtype == float32);
        bool fits = zeros is null || zeros.shape.SequenceEqual(shape) || (offsets && zeros.shape.SequenceEqual([1, 1]));
        return codes.dtype != uint8 || !codes.shape.SequenceEqual([geometry.Rows, geometry.RowBytes]) ? "the codes do not fit the grid"
            : scales.Rows != shape[0] || scales.Columns != shape[1] || (scales is Dense dense && dense.Matrix.dtype == float64) ? "the scales do not fit the grid"
            : !fits || (zeros is not null && !integers && !offsets) ? "the zero points do not fit the grid"
            : integers && (geometry.Signed || levels is not null) ? "integer zero points belong to unsigned codes without a table"
            : levels is not null && (geometry.Signed || levels.dtype != float32 || !levels.shape.SequenceEqual([1L << geometry.Bits])) ? "the table of levels does not fit the grid"
            : null;
    }

    private Tensor ScaleRows(long first, long count)
    {
        if (Geometry.Granularity == Granularity.Tensor)
        {
            return Scales.Materialize();
        }

        return Scales switch
        {
            Dense dense => dense.Matrix.narrow(0, first, count),
            Grid grid => grid.Dequantize(first, count),
            _ => Scales.Materialize().narrow(0, first, count),
        };
    }

    private void Scale(ReadOnlySpan<short> codes, ReadOnlySpan<float> scales, ReadOnlySpan<float> zeros, ReadOnlySpan<float> levels, Span<float> values)
    {
        int length = (int)Geometry.GroupLength;
        bool shifts = ZeroKind == ZeroKind.Code;
        for (int group = 0; group < scales.Length; group++)
        {
            float scale = scales[group];
            float zero = zeros.Length == 0 ? 0 : zeros[zeros.Length == 1 ? 0 : group];
            float shift = shifts ? zero : 0;
            float offset = shifts ? 0 : zero;
            int end = Math.Min(codes.Length, (group + 1) * length);
            for (int i = group * length; i < end; i++)
            {
                float level = levels.Length == 0 ? codes[i] - shift : levels[codes[i]];
                values[i] = scale * level + offset;
            }
        }
    }

    /// <summary>Rows of scales or zero points as float32; one row may stand for all.</summary>
    private sealed class Lines(Tensor values, bool shared)
    {
        private readonly Tensor floats = values.to(float32).contiguous();
        private readonly int width = (int)values.shape[1];

        public ReadOnlySpan<float> Of(int row) => MemoryMarshal.Cast<byte, float>(floats.bytes).Slice(shared ? 0 : row * width, width);
    }
}

/// <summary>What is subtracted from codes or added to values of a grid.</summary>
public enum ZeroKind
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>An integer a group, subtracted from the code: w = s · (q − z).</summary>
    Code,

    /// <summary>A real number a group, added to the value: w = s · q + z.</summary>
    Offset,

    /// <summary>One real number for the matrix, added to the value.</summary>
    SharedOffset,
}
