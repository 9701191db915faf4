using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Products with AVX2 of a packed matrix whose nibbles are themselves the levels: inputs become integers of a few signed bytes, which are multiplied exactly, 32 at a time.</summary>
/// <remarks>The inputs of a chunk share a unit. Three bytes are as exact as float32, two as inputs of 16 bits.</remarks>
internal static unsafe class IntegerKernel
{
    private const int RowBlock = PackedMatrix.RowBlock;
    private const int ChunkColumns = 128;
    private const int Lanes = 16;
    private const int Half = 8;
    private const int DigitBits = 8;
    private const int CodeBits = 4;

    /// <summary>Steps of 16 columns that a group of 64 has.</summary>
    private const int HalfSteps = 4;

    /// <summary>The largest digit at the top, so that rounding never needs one more.</summary>
    private const int LargestTop = 127;

    /// <summary>Inputs below this have a unit that, times a scale, may be too small for all bits of float32; a chunk of zeros needs none.</summary>
    private const float Smallest = 1e-24f;

    /// <summary>Whether groups of so many steps are multiplied faster here than by <see cref="PackedKernel{TFormat}"/>: of shorter ones too little is added up before it is scaled.</summary>
    public static bool Takes(int groupSteps) => groupSteps >= HalfSteps;

    /// <summary>Splits inputs into digits.</summary>
    /// <param name="x">[chunks · 128].</param>
    /// <param name="chunks">Chunks.</param>
    /// <param name="digits">Digits of an input, 2 or 3.</param>
    /// <param name="target">[chunks, digits, 128], the lowest first; byte 4 i + j of the first 64 belongs to column i + 32 j, of the others to the one 16 further, as nibbles lie.</param>
    /// <param name="units">What a one in the lowest digit stands for [chunks].</param>
    /// <returns>Whether all could be split: a chunk with an infinity, a NaN or nothing but tiny numbers cannot.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool Split(float* x, int chunks, int digits, sbyte* target, float* units)
    {
        int largest = LargestTop << (DigitBits * (digits - 1));
        for (int chunk = 0; chunk < chunks; chunk++, x += ChunkColumns, target += digits * ChunkColumns)
        {
            float peak = Peak(x);
            if (!float.IsFinite(peak) || (peak != 0 && peak < Smallest))
            {
                return false;
            }

            units[chunk] = peak / largest;
            var ratio = Vector256.Create(peak == 0 ? 0 : largest / peak);
            for (int part = 0; part < ChunkColumns / Half / 4; part++)
            {
                SplitPart(x + (part / 2 * Lanes) + (part % 2 * Half), ratio, digits, target + (part * sizeof(int) * Half));
            }
        }

        return true;
    }

    /// <summary>The largest number without its sign; an infinity or a NaN where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Peak(float* x)
    {
        // Without their signs numbers are in the order of their bits, what is not finite after all others.
        var most = Vector256<int>.Zero;
        for (int i = 0; i < ChunkColumns; i += Half)
        {
            most = Vector256.Max(most, Vector256.Load((int*)x + i) & Vector256.Create(int.MaxValue));
        }

        var four = Vector128.Max(most.GetLower(), most.GetUpper());
        return BitConverter.Int32BitsToSingle(Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3])));
    }

    /// <summary>Digits of 8 columns and those 32, 64 and 96 further.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SplitPart(float* x, Vector256<float> ratio, int digits, sbyte* target)
    {
        // With half of 256 added to each digit all are bytes without a sign.
        var bias = Vector256.Create(0x0080_8080 >> (DigitBits * (ThreeDigits.Count - digits)));
        var lowest = Vector256.Create(0xFF);
        var first = Vector256.Create(0x80808080).AsInt32();
        var (second, third) = (first, first);
        for (int j = 0; j < sizeof(int); j++, x += 2 * Lanes)
        {
            var number = Avx.ConvertToVector256Int32(Vector256.Load(x) * ratio) + bias;
            first ^= Vector256.ShiftLeft(number & lowest, DigitBits * j);
            second ^= Vector256.ShiftLeft(Vector256.ShiftRightLogical(number, DigitBits) & lowest, DigitBits * j);
            third ^= Vector256.ShiftLeft(Vector256.ShiftRightLogical(number, 2 * DigitBits) & lowest, DigitBits * j);
        }

        first.AsSByte().Store(target);
        second.AsSByte().Store(target + ChunkColumns);
        if (digits == ThreeDigits.Count)
        {
            third.AsSByte().Store(target + (2 * ChunkColumns));
        }
    }

    /// <summary>y = W x for one token.</summary>
    /// <typeparam name="TDigits">How many digits inputs have.</typeparam>
    /// <param name="w">W, of nibbles that are levels, in groups that it <see cref="Takes"/>.</param>
    /// <param name="x">What <see cref="Split"/> left.</param>
    /// <param name="units">Likewise.</param>
    /// <param name="sums">Σ x of each group [groups]; used with offsets.</param>
    /// <param name="y">[rows].</param>
    /// <param name="first">The first row, a multiple of 4.</param>
    /// <param name="last">The row after the last, likewise.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TDigits>(in PackedMatrix w, sbyte* x, float* units, float* sums, float* y, long first, long last)
        where TDigits : struct, IDigits
    {
        int groups = w.Groups;
        float* wide = stackalloc float[w.WideValues(RowBlock)];
        for (long row = first; row < last; row += RowBlock)
        {
            float* scales = w.ReadGroups(row, RowBlock, wide, out float* offsets);
            w.PrefetchGroups(row + RowBlock, RowBlock);
            var products = Vector128.Create(
                MultiplyRow<TDigits>(w, row, scales, x, units),
                MultiplyRow<TDigits>(w, row + 1, scales + groups, x, units),
                MultiplyRow<TDigits>(w, row + 2, scales + (2 * groups), x, units),
                MultiplyRow<TDigits>(w, row + 3, scales + (3 * groups), x, units));
            (offsets is null ? products : products + PackedKernel<NibbleLevels>.Offsets(groups, offsets, sums)).Store(y + row);
        }
    }

    /// <summary>Σ code · x · scale of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float MultiplyRow<TDigits>(in PackedMatrix w, long row, float* scales, sbyte* x, float* units)
        where TDigits : struct, IDigits
    {
        byte* codes = w.Chunk<NibbleLevels>(row, 0);
        return w.GroupSteps == HalfSteps
            ? InHalves<TDigits>(codes, w.Chunks, scales, x, units)
            : InChunks<TDigits>(codes, w.Chunks, w.GroupChunks, scales, x, units);
    }

    /// <summary>Groups of one chunk or several.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float InChunks<TDigits>(byte* codes, int chunks, int groupChunks, float* scales, sbyte* x, float* units)
        where TDigits : struct, IDigits
    {
        var nibbles = Vector256.Create((byte)0x0F);
        var all = Vector256<short>.One;
        var sum = Vector256<float>.Zero;
        for (int chunk = 0; chunk < chunks; chunk++, codes += RowBlock * NibbleLevels.ChunkBytes, x += TDigits.Count * ChunkColumns)
        {
            Sse.Prefetch0(codes + PackedMatrix.Ahead);
            float scale = units[chunk] * scales[groupChunks > 1 ? chunk / groupChunks : chunk];
            sum = Vector256.FusedMultiplyAdd(Numbers<TDigits>(Digits<TDigits>(codes, x, nibbles), all), Vector256.Create(scale), sum);
        }

        return Vector256.Sum(sum);
    }

    /// <summary>Groups of 64 columns: of each integer of a chunk the lower half belongs to one, the upper half to the next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float InHalves<TDigits>(byte* codes, int chunks, float* scales, sbyte* x, float* units)
        where TDigits : struct, IDigits
    {
        var nibbles = Vector256.Create((byte)0x0F);
        var (lower, upper) = (Vector256.Create(0x0000_0001).AsInt16(), Vector256.Create(0x0001_0000).AsInt16());
        var sum = Vector256<float>.Zero;
        for (int chunk = 0; chunk < chunks; chunk++, codes += RowBlock * NibbleLevels.ChunkBytes, x += TDigits.Count * ChunkColumns, scales += 2)
        {
            Sse.Prefetch0(codes + PackedMatrix.Ahead);
            var digits = Digits<TDigits>(codes, x, nibbles);
            sum = Vector256.FusedMultiplyAdd(Numbers<TDigits>(digits, lower), Vector256.Create(units[chunk] * scales[0]), sum);
            sum = Vector256.FusedMultiplyAdd(Numbers<TDigits>(digits, upper), Vector256.Create(units[chunk] * scales[1]), sum);
        }

        return Vector256.Sum(sum);
    }

    /// <summary>For each digit the products of a chunk's codes, summed in 16 lanes: at most 8 · 15 · 128 each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<short> First, Vector256<short> Second, Vector256<short> Third) Digits<TDigits>(byte* codes, sbyte* x, Vector256<byte> mask)
        where TDigits : struct, IDigits
    {
        var (a, b) = (Vector256.Load(codes), Vector256.Load(codes + (NibbleLevels.ChunkBytes / 2)));
        var (c, d) = (Vector256.ShiftRightLogical(a.AsUInt16(), CodeBits).AsByte() & mask, Vector256.ShiftRightLogical(b.AsUInt16(), CodeBits).AsByte() & mask);
        (a, b) = (a & mask, b & mask);
        return (Products(a, b, c, d, x), Products(a, b, c, d, x + ChunkColumns), TDigits.Count > 2 ? Products(a, b, c, d, x + (2 * ChunkColumns)) : default);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Products(Vector256<byte> a, Vector256<byte> b, Vector256<byte> c, Vector256<byte> d, sbyte* x) =>
        (Avx2.MultiplyAddAdjacent(a, Vector256.Load(x)) + Avx2.MultiplyAddAdjacent(b, Vector256.Load(x + 32)))
        + (Avx2.MultiplyAddAdjacent(c, Vector256.Load(x + 64)) + Avx2.MultiplyAddAdjacent(d, Vector256.Load(x + 96)));

    /// <summary>What the digits are together, of the lanes that are picked: their neighbours' sums, or one of two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Numbers<TDigits>((Vector256<short> First, Vector256<short> Second, Vector256<short> Third) digits, Vector256<short> picked)
        where TDigits : struct, IDigits
    {
        var second = Vector256.ShiftLeft(Avx2.MultiplyAddAdjacent(digits.Second, picked), DigitBits);
        var low = Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(digits.First, picked) + second);
        return TDigits.Count == 2 ? low
            : Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(digits.Third, picked)), Vector256.Create((float)(1 << (2 * DigitBits))), low);
    }
}

/// <summary>A number of digits that the compiler knows.</summary>
internal interface IDigits
{
    /// <summary>The number.</summary>
    static abstract int Count { get; }
}

/// <summary>Enough for inputs of 16 bits.</summary>
internal readonly struct TwoDigits : IDigits
{
    public static int Count => 2;
}

/// <summary>Enough for float32.</summary>
internal readonly struct ThreeDigits : IDigits
{
    public static int Count => 3;
}
