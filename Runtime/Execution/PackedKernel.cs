using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Products with a packed matrix, and its values, in float32 with AVX-512 or AVX2. A row is computed by one thread in one order, so results do not depend on the number of threads.</summary>
/// <typeparam name="TFormat">How codes lie.</typeparam>
internal static unsafe class PackedKernel<TFormat>
    where TFormat : struct, ICodeFormat
{
    /// <summary>Rows that are worked on at once.</summary>
    public const int RowBlock = PackedMatrix.RowBlock;

    /// <summary>Bytes of codes from what is worked on to what is asked for.</summary>
    private const int Ahead = 4096;

    /// <summary>Tokens that are worked on at once.</summary>
    public const int TokenBlock = 4;

    private const int Lanes = 16;
    private const int ChunkSteps = 8;

    /// <summary>y = W x for one token.</summary>
    /// <param name="w">W.</param>
    /// <param name="x">[chunks · 128].</param>
    /// <param name="sums">Σ x of each group [groups]; used with offsets.</param>
    /// <param name="y">[rows].</param>
    /// <param name="first">The first row, a multiple of 4.</param>
    /// <param name="last">The row after the last, likewise.</param>
    public static void MultiplyOne(in PackedMatrix w, float* x, float* sums, float* y, long first, long last)
    {
        float* wide = stackalloc float[w.WideValues(RowBlock)];
        for (long row = first; row < last; row += RowBlock)
        {
            float* scales = w.ReadGroups(row, RowBlock, wide, out float* offsets);
            w.PrefetchGroups(row + RowBlock, RowBlock);
            MultiplyRows(w, row, scales, x, y + row);
            for (int line = 0; line < RowBlock && offsets is not null; line++)
            {
                y[row + line] += Offset(w.Groups, offsets, line, sums);
            }
        }
    }

    /// <summary>Four rows, without what offsets add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void MultiplyRows(in PackedMatrix w, long row, float* scales, float* x, float* y)
    {
        int groups = w.Groups, steps = w.GroupSteps, subs = ChunkSteps / steps, groupChunks = w.GroupChunks, chunks = w.Chunks;
        byte* c0 = w.Codes + (row * w.Chunks * TFormat.ChunkBytes);
        float* s0 = scales, s1 = s0 + groups, s2 = s1 + groups, s3 = s2 + groups;
        var (t0, t1, t2, t3) = (Table(w, row), Table(w, row + 1), Table(w, row + 2), Table(w, row + 3));
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        int group = 0;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            Prefetch(c0);
            byte* c1 = c0 + TFormat.ChunkBytes, c2 = c1 + TFormat.ChunkBytes, c3 = c2 + TFormat.ChunkBytes;
            var (v0, v1, v2, v3) = (TFormat.Begin(c0), TFormat.Begin(c1), TFormat.Begin(c2), TFormat.Begin(c3));
            group = groupChunks > 1 ? chunk / groupChunks : group;
            int step = 0;
            for (int sub = 0; sub < subs; sub++)
            {
                Vector512<float> p0 = default, p1 = default, p2 = default, p3 = default;
                for (int end = step + steps; step < end; step++, x += Lanes)
                {
                    var values = Vector512.Load(x);
                    p0 = Vector512.FusedMultiplyAdd(TFormat.Next(c0, step, ref v0, t0), values, p0);
                    p1 = Vector512.FusedMultiplyAdd(TFormat.Next(c1, step, ref v1, t1), values, p1);
                    p2 = Vector512.FusedMultiplyAdd(TFormat.Next(c2, step, ref v2, t2), values, p2);
                    p3 = Vector512.FusedMultiplyAdd(TFormat.Next(c3, step, ref v3, t3), values, p3);
                }

                a0 = Vector512.FusedMultiplyAdd(p0, Vector512.Create(s0[group]), a0);
                a1 = Vector512.FusedMultiplyAdd(p1, Vector512.Create(s1[group]), a1);
                a2 = Vector512.FusedMultiplyAdd(p2, Vector512.Create(s2[group]), a2);
                a3 = Vector512.FusedMultiplyAdd(p3, Vector512.Create(s3[group]), a3);
                group += groupChunks > 1 ? 0 : 1;
            }

            c0 += RowBlock * TFormat.ChunkBytes;
        }

        Sums(y, a0, a1, a2, a3);
    }

    /// <summary>Y = X Wᵀ for four tokens.</summary>
    /// <param name="w">W.</param>
    /// <param name="x">The tokens [4, …], each [chunks · 128].</param>
    /// <param name="inputStride">Values from one token to the next.</param>
    /// <param name="sums">Σ x of each token's groups [4, …], each [groups]; used with offsets.</param>
    /// <param name="sumsStride">Values from one token to the next.</param>
    /// <param name="y">[4, …], each [rows].</param>
    /// <param name="outputStride">Values from one token to the next.</param>
    /// <param name="first">The first row, a multiple of 4.</param>
    /// <param name="last">The row after the last, likewise.</param>
    public static void MultiplyFour(in PackedMatrix w, float* x, long inputStride, float* sums, long sumsStride, float* y, long outputStride, long first, long last)
    {
        float* lines = stackalloc float[RowBlock * TokenBlock];
        float* wide = stackalloc float[w.WideValues(RowBlock)];
        for (long row = first; row < last; row += RowBlock)
        {
            float* scales = w.ReadGroups(row, RowBlock, wide, out float* offsets);
            w.PrefetchGroups(row + RowBlock, RowBlock);
            MultiplyRows(w, row, scales, x, inputStride, lines);
            for (int token = 0; token < TokenBlock; token++)
            {
                for (int line = 0; line < RowBlock; line++)
                {
                    y[(token * outputStride) + row + line] = lines[(token * RowBlock) + line] + (offsets is null ? 0 : Offset(w.Groups, offsets, line, sums + (token * sumsStride)));
                }
            }
        }
    }

    /// <summary>Four rows for four tokens [tokens, rows], without what offsets add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void MultiplyRows(in PackedMatrix w, long row, float* scales, float* x, long inputStride, float* lines)
    {
        int groups = w.Groups, steps = w.GroupSteps, subs = ChunkSteps / steps, groupChunks = w.GroupChunks, chunks = w.Chunks;
        byte* c0 = w.Codes + (row * w.Chunks * TFormat.ChunkBytes);
        float* s0 = scales, s1 = s0 + groups, s2 = s1 + groups, s3 = s2 + groups;
        var (t0, t1, t2, t3) = (Table(w, row), Table(w, row + 1), Table(w, row + 2), Table(w, row + 3));
        Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
        Vector512<float> a20 = default, a21 = default, a22 = default, a23 = default, a30 = default, a31 = default, a32 = default, a33 = default;
        float* x0 = x, x1 = x0 + inputStride, x2 = x1 + inputStride, x3 = x2 + inputStride;
        int group = 0;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            Prefetch(c0);
            byte* c1 = c0 + TFormat.ChunkBytes, c2 = c1 + TFormat.ChunkBytes, c3 = c2 + TFormat.ChunkBytes;
            var (v0, v1, v2, v3) = (TFormat.Begin(c0), TFormat.Begin(c1), TFormat.Begin(c2), TFormat.Begin(c3));
            group = groupChunks > 1 ? chunk / groupChunks : group;
            int step = 0;
            for (int sub = 0; sub < subs; sub++)
            {
                var f0 = TFormat.Scale(t0, Vector512.Create(s0[group]));
                var f1 = TFormat.Scale(t1, Vector512.Create(s1[group]));
                var f2 = TFormat.Scale(t2, Vector512.Create(s2[group]));
                var f3 = TFormat.Scale(t3, Vector512.Create(s3[group]));
                for (int end = step + steps; step < end; step++)
                {
                    var w0 = TFormat.NextScaled(c0, step, ref v0, f0);
                    var w1 = TFormat.NextScaled(c1, step, ref v1, f1);
                    var w2 = TFormat.NextScaled(c2, step, ref v2, f2);
                    var w3 = TFormat.NextScaled(c3, step, ref v3, f3);
                    var values = Vector512.Load(x0);
                    a00 = Vector512.FusedMultiplyAdd(w0, values, a00);
                    a10 = Vector512.FusedMultiplyAdd(w1, values, a10);
                    a20 = Vector512.FusedMultiplyAdd(w2, values, a20);
                    a30 = Vector512.FusedMultiplyAdd(w3, values, a30);
                    values = Vector512.Load(x1);
                    a01 = Vector512.FusedMultiplyAdd(w0, values, a01);
                    a11 = Vector512.FusedMultiplyAdd(w1, values, a11);
                    a21 = Vector512.FusedMultiplyAdd(w2, values, a21);
                    a31 = Vector512.FusedMultiplyAdd(w3, values, a31);
                    values = Vector512.Load(x2);
                    a02 = Vector512.FusedMultiplyAdd(w0, values, a02);
                    a12 = Vector512.FusedMultiplyAdd(w1, values, a12);
                    a22 = Vector512.FusedMultiplyAdd(w2, values, a22);
                    a32 = Vector512.FusedMultiplyAdd(w3, values, a32);
                    values = Vector512.Load(x3);
                    a03 = Vector512.FusedMultiplyAdd(w0, values, a03);
                    a13 = Vector512.FusedMultiplyAdd(w1, values, a13);
                    a23 = Vector512.FusedMultiplyAdd(w2, values, a23);
                    a33 = Vector512.FusedMultiplyAdd(w3, values, a33);
                    x0 += Lanes;
                    x1 += Lanes;
                    x2 += Lanes;
                    x3 += Lanes;
                }

                group += groupChunks > 1 ? 0 : 1;
            }

            c0 += RowBlock * TFormat.ChunkBytes;
        }

        Sums(lines, a00, a10, a20, a30);
        Sums(lines + RowBlock, a01, a11, a21, a31);
        Sums(lines + (2 * RowBlock), a02, a12, a22, a32);
        Sums(lines + (3 * RowBlock), a03, a13, a23, a33);
    }

    /// <summary>The values of rows [last − first, chunks · 128] in float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dequantize(in PackedMatrix w, long first, long last, float* target)
    {
        int steps = w.GroupSteps, subs = ChunkSteps / steps, groupChunks = w.GroupChunks;
        float* wide = stackalloc float[w.WideValues(1)];
        for (long row = first; row < last; row++)
        {
            var table = Table(w, row);
            byte* chunk = w.Chunk<TFormat>(row, 0);
            float* scales = w.ReadGroups(row, 1, wide, out float* offsets);
            for (int i = 0; i < w.Chunks; i++, chunk += RowBlock * TFormat.ChunkBytes)
            {
                var held = TFormat.Begin(chunk);
                int step = 0;
                for (int sub = 0; sub < subs; sub++)
                {
                    int group = groupChunks > 1 ? i / groupChunks : (i * subs) + sub;
                    var scaled = TFormat.Scale(table, Vector512.Create(scales[group]));
                    var offset = offsets is null ? default : Vector512.Create(offsets[group]);
                    for (int end = step + steps; step < end; step++, target += Lanes)
                    {
                        (TFormat.NextScaled(chunk, step, ref held, scaled) + offset).Store(target);
                    }
                }
            }
        }
    }

    /// <summary>The same in bfloat16, rounded half to even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dequantize(in PackedMatrix w, long first, long last, ushort* target)
    {
        float* line = stackalloc float[ChunkSteps * Lanes];
        float* wide = stackalloc float[w.WideValues(1)];
        for (long row = first; row < last; row++)
        {
            float* scales = w.ReadGroups(row, 1, wide, out float* offsets);
            for (int chunk = 0; chunk < w.Chunks; chunk++)
            {
                DequantizeChunk(w, row, chunk, scales, offsets, line);
                for (int step = 0; step < ChunkSteps; step++, target += Lanes)
                {
                    HalfFloats.Round(Vector512.Load(line + (step * Lanes))).Store(target);
                }
            }
        }
    }

    /// <summary>Σ x of each group [groups].</summary>
    public static void GroupSums(in PackedMatrix w, float* x, float* sums)
    {
        int steps = w.GroupSteps * w.GroupChunks;
        int left = w.Chunks * ChunkSteps;
        for (int group = 0; group < w.Groups; group++)
        {
            Vector512<float> sum = default;
            for (int step = 0; step < steps && left > 0; step++, left--, x += Lanes)
            {
                sum += Vector512.Load(x);
            }

            sums[group] = Vector512.Sum(sum);
        }
    }

    /// <summary>Asks for codes some way ahead: the processor itself does not look across pages.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* codes)
    {
        for (int line = 0; line < RowBlock * TFormat.ChunkBytes; line += PackedMatrix.CacheLine)
        {
            Sse.Prefetch0(codes + Ahead + line);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Table(in PackedMatrix w, long row) => w.Tables is null ? default : Vector512.Load(w.Tables + (row * w.TableStride));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Sums(float* lines, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        lines[0] = Vector512.Sum(a);
        lines[1] = Vector512.Sum(b);
        lines[2] = Vector512.Sum(c);
        lines[3] = Vector512.Sum(d);
    }

    /// <summary>Σ over groups of offset · Σ x, for one of a few rows.</summary>
    private static float Offset(int groups, float* offsets, int line, float* sums)
    {
        offsets += line * groups;
        Vector512<float> sum = default;
        int group = 0;
        for (; group <= groups - Lanes; group += Lanes)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(offsets + group), Vector512.Load(sums + group), sum);
        }

        float rest = 0;
        for (; group < groups; group++)
        {
            rest += offsets[group] * sums[group];
        }

        return Vector512.Sum(sum) + rest;
    }

    private static void DequantizeChunk(in PackedMatrix w, long row, int chunk, float* scales, float* offsets, float* line)
    {
        var table = Table(w, row);
        byte* codes = w.Chunk<TFormat>(row, chunk);
        var held = TFormat.Begin(codes);
        for (int step = 0; step < ChunkSteps; step++, line += Lanes)
        {
            int group = w.GroupChunks > 1 ? chunk / w.GroupChunks : ((chunk * ChunkSteps) + step) / w.GroupSteps;
            float offset = offsets is null ? 0 : offsets[group];
            (TFormat.NextScaled(codes, step, ref held, TFormat.Scale(table, Vector512.Create(scales[group]))) + Vector512.Create(offset)).Store(line);
        }
    }
}
