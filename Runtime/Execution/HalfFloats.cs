using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Floats of 16 bits widened and back, and matrices of bfloat16 whose columns stand as nibbles of a packed matrix give them.</summary>
/// <remarks>What every product runs through is compiled for good at once: the runtime's first, plain code of it takes as long as the product.</remarks>
internal static unsafe class HalfFloats
{
    private const int Lanes = 16;
    private const int ChunkSteps = 8;
    private const int ChunkColumns = 128;

    /// <summary>Whether columns can be interleaved here.</summary>
    public static bool Interleaves => Avx512BW.IsSupported;

    /// <summary>Rounds half to even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Round(Vector512<float> values) => SixteenLanes.LowerHalves(Vector512.ShiftRightLogical(Rounded(values), 16));

    /// <summary>Widens values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen(ushort* source, float* target, long count)
    {
        long i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            Vector512.ShiftLeft(SixteenLanes.Load(source + i), 16).AsSingle().Store(target + i);
        }

        for (; i < count; i++)
        {
            target[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
        }
    }

    /// <summary>Widens values of float16 that are finite and not below zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WidenFloat16(ushort* source, float* target, long count)
    {
        // Exponent and fraction at float32's place, whose exponents are 112 more.
        var rebias = Vector512.Create(BitConverter.UInt32BitsToSingle((127 + 112) << 23));
        long i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            (Vector512.ShiftLeft(SixteenLanes.Load(source + i), 13).AsSingle() * rebias).Store(target + i);
        }

        for (; i < count; i++)
        {
            target[i] = (float)BitConverter.UInt16BitsToHalf(source[i]);
        }
    }

    /// <summary>Rounds values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Narrow(float* source, ushort* target, long count)
    {
        long i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            Round(Vector512.Load(source + i)).Store(target + i);
        }

        for (; i < count; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(source[i]);
            target[i] = (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        }
    }

    /// <summary>With AVX-512: puts the columns of inputs in the order of <see cref="Dequantize"/>: within a chunk, column 16 k + i of the first half beside the one 64 further.</summary>
    /// <param name="source">[count], a multiple of 128.</param>
    /// <param name="target">[count].</param>
    /// <param name="count">Values.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(ushort* source, ushort* target, long count)
    {
        for (long chunk = 0; chunk < count; chunk += ChunkColumns)
        {
            for (int k = 0; k < ChunkSteps / 2; k++, target += 2 * Lanes)
            {
                var low = Avx512F.ConvertToVector512UInt32(Vector256.Load(source + chunk + (k * Lanes)));
                var high = Avx512F.ConvertToVector512UInt32(Vector256.Load(source + chunk + ((k + (ChunkSteps / 2)) * Lanes)));
                (low | Vector512.ShiftLeft(high, 16)).AsUInt16().Store(target);
            }
        }
    }

    /// <summary>With AVX-512: rows of a matrix of nibbles in bfloat16, columns interleaved: a group has 16 values only, which are rounded once and looked up, 32 at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dequantize(in PackedMatrix w, long first, long last, ushort* target)
    {
        int steps = w.GroupSteps, subs = ChunkSteps / steps, groupChunks = w.GroupChunks;
        var nibbles = Vector512.Create(0x000F000F);
        var upper = Vector512.Create(0x00100000);
        var upperHalves = (Vector512<ushort>.Indices * 2) + Vector512<ushort>.One;
        float* wide = stackalloc float[w.WideValues(1)];
        for (long row = first; row < last; row++)
        {
            var levels = Vector512.Load(w.Tables + (row * w.TableStride));
            byte* chunk = w.Chunk<NibbleCodes>(row, 0);
            float* scales = w.ReadGroups(row, 1, wide, out float* offsets);
            Vector512<ushort> pair = default;
            for (int i = 0; i < w.Chunks; i++, chunk += PackedMatrix.RowBlock * NibbleCodes.ChunkBytes)
            {
                if (steps == ChunkSteps)
                {
                    if (i % groupChunks == 0)
                    {
                        int group = i / groupChunks;
                        pair = Values(levels, scales, offsets, group, group, upperHalves);
                    }

                    // Both halves of the table are the same, so what the fifth bit of an index is does not matter.
                    var codes = Vector512.Load((int*)chunk);
                    Avx512BW.PermuteVar32x16(pair, codes.AsUInt16()).Store(target);
                    Avx512BW.PermuteVar32x16(pair, Vector512.ShiftRightLogical(codes, 4).AsUInt16()).Store(target + (2 * Lanes));
                    Avx512BW.PermuteVar32x16(pair, Vector512.ShiftRightLogical(codes, 8).AsUInt16()).Store(target + (4 * Lanes));
                    Avx512BW.PermuteVar32x16(pair, Vector512.ShiftRightLogical(codes, 12).AsUInt16()).Store(target + (6 * Lanes));
                    target += ChunkColumns;
                    continue;
                }

                var held = Vector512.Load((int*)chunk);
                for (int sub = 0; sub < subs / 2; sub++)
                {
                    int group = (i * subs) + sub;
                    pair = Values(levels, scales, offsets, group, group + (subs / 2), upperHalves);
                    for (int step = 0; step < steps; step++, target += 2 * Lanes)
                    {
                        Avx512BW.PermuteVar32x16(pair, ((held & nibbles) | upper).AsUInt16()).Store(target);
                        held = Vector512.ShiftRightLogical(held, 4);
                    }
                }
            }
        }
    }

    /// <summary>The 16 values of a group, then those of another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ushort> Values(Vector512<float> levels, float* scales, float* offsets, int first, int second, Vector512<ushort> upperHalves) =>
        Avx512BW.PermuteVar32x16x2(Rounded(Value(levels, scales, offsets, first)).AsUInt16(), upperHalves, Rounded(Value(levels, scales, offsets, second)).AsUInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Value(Vector512<float> levels, float* scales, float* offsets, int group) =>
        Vector512.FusedMultiplyAdd(levels, Vector512.Create(scales[group]), offsets is null ? default : Vector512.Create(offsets[group]));

    /// <summary>The bits of values whose upper halves are the bfloat16 nearest to them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Rounded(Vector512<float> values)
    {
        var bits = values.AsUInt32();
        return bits + Vector512.Create(0x7FFFu) + (Vector512.ShiftRightLogical(bits, 16) & Vector512.Create(1u));
    }
}
