using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The arithmetic of <see cref="RoundToNearest"/>, row by row in float64 without a tensor of that size.</summary>
/// <param name="geometry">The grid.</param>
/// <param name="scaleType">The dtype that scales are rounded to: float16, float32 or float64.</param>
internal sealed class NearestRows(GridGeometry geometry, ScalarType scaleType)
{
    private readonly int columns = (int)geometry.Columns;
    private readonly int length = (int)geometry.GroupLength;
    private readonly int groups = (int)geometry.ScaleShape[1];
    private readonly double[] values = new double[geometry.Columns];

    /// <summary>Scales in the grid's scale shape, row after row.</summary>
    public double[] Scales { get; } = new double[geometry.ScaleShape[0] * geometry.ScaleShape[1]];

    /// <summary>Zero points in the same order; zero for signed codes.</summary>
    public double[] Zeros { get; } = new double[geometry.ScaleShape[0] * geometry.ScaleShape[1]];

    /// <summary>The largest scale before it was rounded.</summary>
    public double LargestScale { get; private set; }

    /// <summary>Whether all values and all rounded scales are finite.</summary>
    public bool IsFinite { get; private set; } = true;

    /// <summary>Chooses scales and computes codes; stops at the first scale that is not finite.</summary>
    /// <param name="weight">[rows, columns], any real dtype.</param>
    /// <param name="store">Gets the first row and the codes [count, columns] int16 of each block, which are written over by the next.</param>
    public void Round(Tensor weight, Action<long, Tensor> store)
    {
        if (geometry.Granularity == Granularity.Tensor)
        {
            ChooseOne(weight);
        }

        using var codes = empty(Math.Min(geometry.Rows, RowBlocks.Height(geometry.Columns)), geometry.Columns, dtype: int16);
        foreach (var (first, count) in RowBlocks.Of(geometry.Rows, geometry.Columns))
        {
            using var scope = NewDisposeScope();
            var target = codes.narrow(0, 0, count);
            RoundBlock(Block(weight, first, count), (int)first, MemoryMarshal.Cast<byte, short>(target.bytes));
            store(first, target);
        }
    }

    /// <summary>Rows as they are computed with, in the current dispose scope.</summary>
    private static Tensor Block(Tensor weight, long first, long count) =>
        weight.narrow(0, first, count).to(weight.dtype == float64 ? float64 : float32).cpu().contiguous();

    private void RoundBlock(Tensor block, int firstRow, Span<short> codes)
    {
        for (int row = 0; row < block.shape[0] && IsFinite; row++)
        {
            Read(block, row);
            var target = codes.Slice(row * columns, columns);
            for (int group = 0; group < groups && IsFinite; group++)
            {
                int first = group * length;
                var span = values.AsSpan(first, Math.Min(length, columns - first));
                int index = 0;
                if (geometry.Granularity != Granularity.Tensor)
                {
                    index = ((firstRow + row) * groups) + group;
                    var (low, high) = Range(span);
                    Choose(index, Math.Min(low, 0), Math.Max(high, 0));
                }

                Codes(span, target.Slice(first, span.Length), Scales[index], Zeros[index], geometry.Lowest, geometry.Highest);
            }
        }
    }

    private void ChooseOne(Tensor weight)
    {
        double lowest = 0;
        double highest = 0;
        foreach (var (first, count) in RowBlocks.Of(geometry.Rows, geometry.Columns))
        {
            using var scope = NewDisposeScope();
            var block = Block(weight, first, count);
            for (int row = 0; row < count; row++)
            {
                Read(block, row);
                var (low, high) = Range(values);
                (lowest, highest) = (Math.Min(lowest, low), Math.Max(highest, high));
            }
        }

        Choose(0, lowest, highest);
    }

    private void Choose(int index, double low, double high)
    {
        double exact = geometry.Signed ? Math.Max(-low, high) / geometry.Highest : (high - low) / geometry.Highest;
        double scale = scaleType == float16 ? (double)(Half)(float)exact : scaleType == float32 ? (float)exact : exact;
        scale = scale == 0 ? 1 : scale;
        LargestScale = Math.Max(LargestScale, exact);
        IsFinite &= double.IsFinite(scale);
        Scales[index] = scale;
        Zeros[index] = geometry.Signed ? 0 : Math.Clamp(Math.Round(-low / scale), geometry.Lowest, geometry.Highest);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Read(Tensor block, int row)
    {
        int start = row * columns;
        if (block.dtype == float64)
        {
            MemoryMarshal.Cast<byte, double>(block.bytes).Slice(start, columns).CopyTo(values);
            return;
        }

        var source = MemoryMarshal.Cast<byte, float>(block.bytes).Slice(start, columns);
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= source.Length - lanes; i += lanes)
        {
            Vector.Widen(new Vector<float>(source[i..]), out var lower, out var upper);
            lower.CopyTo(values, i);
            upper.CopyTo(values, i + lanes / 2);
        }

        for (; i < source.Length; i++)
        {
            values[i] = source[i];
        }
    }

    /// <summary>The smallest and largest value; NaN when one is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (double Low, double High) Range(ReadOnlySpan<double> values)
    {
        var (low, high) = (values[0], values[0]);
        int lanes = Vector<double>.Count;
        int i = 0;
        if (values.Length >= lanes)
        {
            var (lows, highs) = (new Vector<double>(values), new Vector<double>(values));
            for (; i <= values.Length - lanes; i += lanes)
            {
                var next = new Vector<double>(values[i..]);
                (lows, highs) = (Vector.Min(lows, next), Vector.Max(highs, next));
            }

            for (int lane = 0; lane < lanes; lane++)
            {
                (low, high) = (Math.Min(low, lows[lane]), Math.Max(high, highs[lane]));
            }
        }

        for (; i < values.Length; i++)
        {
            (low, high) = (Math.Min(low, values[i]), Math.Max(high, values[i]));
        }

        return (low, high);
    }

    /// <summary>clamp(round(v / scale) + zero), rounded half to even.</summary>
    /// <remarks>
    /// Clamping to whole numbers before rounding changes nothing. Adding 1.5 · 2^52 rounds a double to a whole number, half to even, and leaves that number in the low bits.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Codes(ReadOnlySpan<double> values, Span<short> codes, double scale, double zero, double lowest, double highest)
    {
        const double Whole = 6755399441055744;
        var (low, high) = (new Vector<double>(lowest - zero), new Vector<double>(highest - zero));
        var (divisor, whole) = (new Vector<double>(scale), new Vector<double>(Whole));
        int lanes = Vector<double>.Count;
        short shift = (short)zero;
        int i = 0;
        for (; i <= values.Length - lanes; i += lanes)
        {
            var steps = Vector.Min(Vector.Max(new Vector<double>(values[i..]) / divisor, low), high);
            var bits = Vector.AsVectorInt64(steps + whole);
            for (int lane = 0; lane < lanes; lane++)
            {
                codes[i + lane] = (short)(bits[lane] + shift);
            }
        }

        for (; i < values.Length; i++)
        {
            codes[i] = (short)Math.Clamp(Math.Round(values[i] / scale) + zero, lowest, highest);
        }
    }
}
