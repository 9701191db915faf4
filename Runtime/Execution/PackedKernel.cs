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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyOne(in PackedMatrix w, float* x, float* sums, float* y, long first, long last)
    {
        float* wide = stackalloc float[w.WideValues(RowBlock)];
        for (long row = first; row < last; row += RowBlock)
        {
            float* scales = w.ReadGroups(row, RowBlock, wide, out float* offsets);
            w.PrefetchGroups(row + RowBlock, RowBlock);
            if (SixteenLanes.AreWhole)
            {
                MultiplyRows(w, row, scales, offsets, x, sums, y + row);
                continue;
            }

            var products = Vector128.Create(
                MultiplyRow(w, row, scales, x),
                MultiplyRow(w, row + 1, scales + w.Groups, x),
                MultiplyRow(w, row + 2, scales + (2 * w.Groups), x),
                MultiplyRow(w, row + 3, scales + (3 * w.Groups), x));
            (offsets is null ? products : products + Offsets(w.Groups, offsets, sums)).Store(y + row);
        }
    }

    /// <summary>Four rows.</summary>
    /// <remarks>The steps are written out: a loop over the two of a short group takes twice the time.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void MultiplyRows(in PackedMatrix w, long row, float* scales, float* offsets, float* x, float* sums, float* y)
    {
        int groups = w.Groups, groupChunks = w.GroupChunks, chunks = w.Chunks, ends = Ends(w);
        byte* c0 = w.Codes + (row * chunks * TFormat.ChunkBytes);
        float* s0 = scales, s1 = s0 + groups, s2 = s1 + groups, s3 = s2 + groups;
        var (t0, t1, t2, t3) = (Table(w, row), Table(w, row + 1), Table(w, row + 2), Table(w, row + 3));
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        Vector512<float> p0 = default, p1 = default, p2 = default, p3 = default;
        int group = 0;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            Prefetch(c0);
            byte* c1 = c0 + TFormat.ChunkBytes, c2 = c1 + TFormat.ChunkBytes, c3 = c2 + TFormat.ChunkBytes;
            var (v0, v1, v2, v3) = (TFormat.Begin(c0), TFormat.Begin(c1), TFormat.Begin(c2), TFormat.Begin(c3));
            group = groupChunks > 1 ? chunk / groupChunks : group;
            Step(0, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(1, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(2, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(3, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(4, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(5, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(6, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            Step(7, ends, x, c0, c1, c2, c3, ref v0, ref v1, ref v2, ref v3, t0, t1, t2, t3, ref p0, ref p1, ref p2, ref p3, ref a0, ref a1, ref a2, ref a3, s0, s1, s2, s3, ref group);
            x += ChunkSteps * Lanes;
            c0 += RowBlock * TFormat.ChunkBytes;
        }

        var products = Sums(a0, a1, a2, a3);
        (offsets is null ? products : products + Offsets(groups, offsets, sums)).Store(y);
    }

    /// <summary>Adds the products of a step of four rows and, where a group ends, the group's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        int step,
        int ends,
        float* x,
        byte* c0,
        byte* c1,
        byte* c2,
        byte* c3,
        ref Vector512<int> v0,
        ref Vector512<int> v1,
        ref Vector512<int> v2,
        ref Vector512<int> v3,
        Vector512<float> t0,
        Vector512<float> t1,
        Vector512<float> t2,
        Vector512<float> t3,
        ref Vector512<float> p0,
        ref Vector512<float> p1,
        ref Vector512<float> p2,
        ref Vector512<float> p3,
        ref Vector512<float> a0,
        ref Vector512<float> a1,
        ref Vector512<float> a2,
        ref Vector512<float> a3,
        float* s0,
        float* s1,
        float* s2,
        float* s3,
        ref int group)
    {
        var values = Vector512.Load(x + (step * Lanes));
        p0 = Vector512.FusedMultiplyAdd(TFormat.Next(c0, step, ref v0, t0), values, p0);
        p1 = Vector512.FusedMultiplyAdd(TFormat.Next(c1, step, ref v1, t1), values, p1);
        p2 = Vector512.FusedMultiplyAdd(TFormat.Next(c2, step, ref v2, t2), values, p2);
        p3 = Vector512.FusedMultiplyAdd(TFormat.Next(c3, step, ref v3, t3), values, p3);
        if ((ends >> step & 1) != 0)
        {
            End(ref a0, ref p0, s0 + group);
            End(ref a1, ref p1, s1 + group);
            End(ref a2, ref p2, s2 + group);
            End(ref a3, ref p3, s3 + group);
            group++;
        }
    }

    /// <summary>A row without what offsets add, with AVX2, whose registers hold no more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float MultiplyRow(in PackedMatrix w, long row, float* scales, float* x)
    {
        int groupChunks = w.GroupChunks, chunks = w.Chunks, ends = Ends(w), group = 0;
        byte* codes = w.Chunk<TFormat>(row, 0);
        float* table = w.Tables + (row * w.TableStride);
        var (lower, upper) = w.Tables is null ? default : (Vector256.Load(table), Vector256.Load(table + (Lanes / 2)));
        Vector256<float> sum = default, p = default, q = default;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            Sse.Prefetch0(codes + PackedMatrix.Ahead);
            var (v, u) = (TFormat.BeginHalf(codes, 0), TFormat.BeginHalf(codes, 1));
            group = groupChunks > 1 ? chunk / groupChunks : group;
            Step(codes, 0, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 1, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 2, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 3, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 4, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 5, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 6, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            Step(codes, 7, ends, ref v, ref u, lower, upper, x, ref p, ref q, ref sum, scales, ref group);
            x += ChunkSteps * Lanes;
            codes += RowBlock * TFormat.ChunkBytes;
        }

        return Vector256.Sum(sum);
    }

    /// <summary>Adds the products of a step and, where a group ends, the group's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        byte* codes,
        int step,
        int ends,
        ref Vector256<int> v,
        ref Vector256<int> u,
        Vector256<float> lower,
        Vector256<float> upper,
        float* x,
        ref Vector256<float> p,
        ref Vector256<float> q,
        ref Vector256<float> sum,
        float* scales,
        ref int group)
    {
        p = Vector256.FusedMultiplyAdd(TFormat.NextHalf(codes, step, 0, ref v, lower, upper), Vector256.Load(x + (step * Lanes)), p);
        q = Vector256.FusedMultiplyAdd(TFormat.NextHalf(codes, step, 1, ref u, lower, upper), Vector256.Load(x + (step * Lanes) + (Lanes / 2)), q);
        if ((ends >> step & 1) != 0)
        {
            sum = Vector256.FusedMultiplyAdd(p + q, Vector256.Create(scales[group]), sum);
            p = q = default;
            group++;
        }
    }

    /// <summary>The steps of a chunk, as bits, after which a group ends; a group of several chunks is added up chunk by chunk.</summary>
    private static int Ends(in PackedMatrix w) => w.GroupSteps switch
    {
        1 => 0b_1111_1111,
        2 => 0b_1010_1010,
        4 => 0b_1000_1000,
        _ => 0b_1000_0000,
    };

    /// <summary>Adds a group's products times its scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void End(ref Vector512<float> sum, ref Vector512<float> products, float* scale)
    {
        sum = Vector512.FusedMultiplyAdd(products, Vector512.Create(*scale), sum);
        products = default;
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MultiplyFour(in PackedMatrix w, float* x, long inputStride, float* sums, long sumsStride, float* y, long outputStride, long first, long last)
    {
        int groups = w.Groups;
        float* lines = stackalloc float[RowBlock * TokenBlock];
        float* wide = stackalloc float[w.WideValues(RowBlock)];
        for (long row = first; row < last; row += RowBlock)
        {
            float* scales = w.ReadGroups(row, RowBlock, wide, out float* offsets);
            w.PrefetchGroups(row + RowBlock, RowBlock);
            MultiplyRows(w, row, scales, x, inputStride, lines);
            for (int token = 0; token < TokenBlock; token++)
            {
                var products = Vector128.Load(lines + (token * RowBlock));
                (offsets is null ? products : products + Offsets(groups, offsets, sums + (token * sumsStride))).Store(y + (token * outputStride) + row);
            }
        }
    }

    /// <summary>Four rows for four tokens [tokens, rows], without what offsets add.</summary>
    /// <remarks>Steps come in pairs, as in a short group: see above.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void MultiplyRows(in PackedMatrix w, long row, float* scales, float* x, long inputStride, float* lines)
    {
        int groups = w.Groups, groupChunks = w.GroupChunks, chunks = w.Chunks, ends = Ends(w);
        byte* c0 = w.Codes + (row * chunks * TFormat.ChunkBytes);
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
            var (f0, f1, f2, f3) = (Scaled(t0, s0 + group), Scaled(t1, s1 + group), Scaled(t2, s2 + group), Scaled(t3, s3 + group));
            for (int step = 0; step < ChunkSteps; step += 2)
            {
                var w0 = TFormat.NextScaled(c0, step, ref v0, f0);
                var w1 = TFormat.NextScaled(c1, step, ref v1, f1);
                var w2 = TFormat.NextScaled(c2, step, ref v2, f2);
                var w3 = TFormat.NextScaled(c3, step, ref v3, f3);
                Add(Vector512.Load(x0), w0, w1, w2, w3, ref a00, ref a10, ref a20, ref a30);
                Add(Vector512.Load(x1), w0, w1, w2, w3, ref a01, ref a11, ref a21, ref a31);
                Add(Vector512.Load(x2), w0, w1, w2, w3, ref a02, ref a12, ref a22, ref a32);
                Add(Vector512.Load(x3), w0, w1, w2, w3, ref a03, ref a13, ref a23, ref a33);
                if ((ends >> step & 1) != 0)
                {
                    group++;
                    (f0, f1, f2, f3) = (Scaled(t0, s0 + group), Scaled(t1, s1 + group), Scaled(t2, s2 + group), Scaled(t3, s3 + group));
                }

                w0 = TFormat.NextScaled(c0, step + 1, ref v0, f0);
                w1 = TFormat.NextScaled(c1, step + 1, ref v1, f1);
                w2 = TFormat.NextScaled(c2, step + 1, ref v2, f2);
                w3 = TFormat.NextScaled(c3, step + 1, ref v3, f3);
                Add(Vector512.Load(x0 + Lanes), w0, w1, w2, w3, ref a00, ref a10, ref a20, ref a30);
                Add(Vector512.Load(x1 + Lanes), w0, w1, w2, w3, ref a01, ref a11, ref a21, ref a31);
                Add(Vector512.Load(x2 + Lanes), w0, w1, w2, w3, ref a02, ref a12, ref a22, ref a32);
                Add(Vector512.Load(x3 + Lanes), w0, w1, w2, w3, ref a03, ref a13, ref a23, ref a33);
                if ((ends >> step & 2) != 0)
                {
                    group++;
                    if (step < ChunkSteps - 2)
                    {
                        (f0, f1, f2, f3) = (Scaled(t0, s0 + group), Scaled(t1, s1 + group), Scaled(t2, s2 + group), Scaled(t3, s3 + group));
                    }
                }

                x0 += 2 * Lanes;
                x1 += 2 * Lanes;
                x2 += 2 * Lanes;
                x3 += 2 * Lanes;
            }

            c0 += RowBlock * TFormat.ChunkBytes;
        }

        Sums(a00, a10, a20, a30).Store(lines);
        Sums(a01, a11, a21, a31).Store(lines + RowBlock);
        Sums(a02, a12, a22, a32).Store(lines + (2 * RowBlock));
        Sums(a03, a13, a23, a33).Store(lines + (3 * RowBlock));
    }

    /// <summary>Adds the products of a token's inputs with four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(
        Vector512<float> values,
        Vector512<float> w0,
        Vector512<float> w1,
        Vector512<float> w2,
        Vector512<float> w3,
        ref Vector512<float> a0,
        ref Vector512<float> a1,
        ref Vector512<float> a2,
        ref Vector512<float> a3)
    {
        a0 = Vector512.FusedMultiplyAdd(w0, values, a0);
        a1 = Vector512.FusedMultiplyAdd(w1, values, a1);
        a2 = Vector512.FusedMultiplyAdd(w2, values, a2);
        a3 = Vector512.FusedMultiplyAdd(w3, values, a3);
    }

    /// <summary>What a group's codes are looked up in, or multiplied by.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Scaled(Vector512<float> table, float* scale) => TFormat.Scale(table, Vector512.Create(*scale));

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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
            Sse.Prefetch0(codes + PackedMatrix.Ahead + line);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Table(in PackedMatrix w, long row) => w.Tables is null ? default : Vector512.Load(w.Tables + (row * w.TableStride));

    /// <summary>The sums of four registers' lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Sums(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var pairs = Avx.HorizontalAdd(Avx.HorizontalAdd(a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper()), Avx.HorizontalAdd(c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper()));
        return pairs.GetLower() + pairs.GetUpper();
    }

    /// <summary>Σ over groups of offset · Σ x, for four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static Vector128<float> Offsets(int groups, float* offsets, float* sums)
    {
        float* o1 = offsets + groups, o2 = o1 + groups, o3 = o2 + groups;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        int group = 0;
        for (; group <= groups - Lanes; group += Lanes)
        {
            var values = Vector512.Load(sums + group);
            a0 = Vector512.FusedMultiplyAdd(Vector512.Load(offsets + group), values, a0);
            a1 = Vector512.FusedMultiplyAdd(Vector512.Load(o1 + group), values, a1);
            a2 = Vector512.FusedMultiplyAdd(Vector512.Load(o2 + group), values, a2);
            a3 = Vector512.FusedMultiplyAdd(Vector512.Load(o3 + group), values, a3);
        }

        var sum = Sums(a0, a1, a2, a3);
        for (; group < groups; group++)
        {
            sum += Vector128.Create(offsets[group], o1[group], o2[group], o3[group]) * sums[group];
        }

        return sum;
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
