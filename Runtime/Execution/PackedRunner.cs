using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>A matrix of few bits that is multiplied as it is packed.</summary>
/// <remarks>
/// On the CPU, few tokens go through <see cref="PackedKernel{TFormat}"/> in float32, or <see cref="IntegerKernel"/>; for many, blocks of rows become dense, one after the other, in a small buffer in the dtype of the inputs,
/// and the tensor library multiplies them. Elsewhere, and where gradients are asked for, blocks are made by tensor operations.
/// </remarks>
internal sealed unsafe class PackedRunner : WeightRunner
{
    private const int Lanes = 16;
    private const int ChunkColumns = 128;
    private const int ChunkSteps = 8;
    private const int RowBlock = PackedMatrix.RowBlock;
    private const int TableMask = 15;

    /// <summary>Rows that are made dense at once, at most, and for how many tokens twice as many: the more there are, the less it matters that they leave the cache.</summary>
    private const int DenseRows = 512;
    private const int ManyTokens = 128;

    /// <summary>Rows of codes that are packed at once.</summary>
    private const int PackedRows = 256;

    /// <summary>Tokens up to which the kernels cost less than making the weight dense, with AVX-512; measured with inputs of both dtypes.</summary>
    private const int MostTokensHalf = 16;
    private const int MostTokensSingle = 24;

    /// <summary>The same with AVX2, whose registers do not hold what several tokens need, by what becomes of codes: digits of integers to multiply, numbers, or levels that are looked up.</summary>
    private const int MostTokensInDigits = 16;
    private const int MostTokensAsNumbers = 6;
    private const int MostTokensLookedUp = 3;

    /// <summary>Multiplications from which on several threads pay.</summary>
    private const long ParallelWork = 1 << 19;

    /// <summary>Whether the processor multiplies bfloat16 in tiles (AMX). Without, the tensor library's products of float32 are faster, by up to half at 64 tokens.</summary>
    private static readonly bool HasTiles = X86Base.IsSupported && (X86Base.CpuId(7, 0).Edx & (1 << 22)) != 0;

    /// <summary>Groups of a row up to which scales stay the float16 that they were stored as, and zero points bytes: the kernel widens those of a few rows on the stack.</summary>
    private const int MostGroupsInHalves = 1024;

    /// <summary>A thread's buffers: memory that is touched for the first time costs more than the arithmetic.</summary>
    [ThreadStatic]
    private static Tensor?[]? scratch;

    [ThreadStatic]
    private static float[]? work;

    private readonly long rows;
    private readonly long columns;
    private readonly bool nibbles;
    private readonly int groupSteps;
    private readonly int groupChunks;
    private readonly int? lowest;
    private readonly bool inHalves;
    private readonly bool offsetsInSteps;

    /// <summary>Where the buffers lie, and those that were looked at; others take their place when the runner moves.</summary>
    private Placed? placed;

    /// <summary>The matrix as the operator of a CUDA device wants it, made at its first use there.</summary>
    private CudaInt4? cudaInt4;

    private PackedRunner(PackedParts parts)
        : base(nameof(PackedRunner))
    {
        using var scope = NewDisposeScope();
        parts = IsSupported && !SixteenLanes.AreWhole ? parts.FromZero() : parts;
        (rows, columns, nibbles, lowest) = (parts.Codes.Rows, parts.Codes.Columns, parts.Tables is not null, parts.Lowest);
        long steps = parts.GroupLength >= columns ? ChunkSteps * Chunks : parts.GroupLength / Lanes;
        groupSteps = (int)BigInteger.GreatestCommonDivisor(steps, ChunkSteps);
        groupChunks = groupSteps == ChunkSteps ? (int)(steps / ChunkSteps) : 1;
        int repeats = (int)(steps / (groupSteps * groupChunks));
        Keep("codes", Pack(parts.Codes));
        var scales = Groups(parts.Scales, repeats);
        var halves = scales.to(float16);
        inHalves = scales.shape[1] <= MostGroupsInHalves && All(halves.isfinite()) && All(scales >= 0) && All(halves.to(float32).eq(scales));
        Keep("scales", inHalves ? halves : scales);
        if (parts.Offsets is not null)
        {
            var offsets = Groups(parts.Offsets, repeats);
            offsetsInSteps = parts.OffsetsInSteps && inHalves && All(offsets.to(int8).to(float32).eq(offsets));
            Keep("offsets", offsetsInSteps ? offsets.to(int8) : parts.OffsetsInSteps ? offsets * scales : offsets);
        }

        if (parts.Tables is not null)
        {
            Keep("tables", parts.Tables.shape[0] == 1 ? parts.Tables : nn.functional.pad(parts.Tables, [0, 0, 0, PaddedRows - rows]));
        }
    }

    /// <summary>Whether this machine has the instructions of the kernel; without them weights are better dense.</summary>
    public static bool IsSupported => SixteenLanes.AreThere;

    /// <summary>Whether codes are levels that AVX2 converts.</summary>
    private bool Converts => !SixteenLanes.AreWhole && lowest == 0;

    /// <summary>Whether it multiplies them as integers.</summary>
    private bool HasDigits => Converts && IntegerKernel.Takes(groupSteps);

    private long Chunks => (columns + ChunkColumns - 1) / ChunkColumns;

    private long PaddedRows => (rows + RowBlock - 1) / RowBlock * RowBlock;

    private long PaddedColumns => Chunks * ChunkColumns;

    /// <summary>The runner of a form, or null for one whose codes or groups do not fit the kernel: more than 16 levels of a table, groups that are no multiple of 16.</summary>
    /// <param name="form">The form; still the caller's.</param>
    public static PackedRunner? Of(Expression form)
    {
        using var scope = NewDisposeScope();
        return PackedParts.Of(form) is { } parts && (parts.GroupLength >= form.Columns || parts.GroupLength % Lanes == 0) ? new(parts) : null;
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        if (MultiplyFew(x) is { } few)
        {
            return few;
        }

        using var scope = NewDisposeScope();
        var inputs = x.reshape(-1, columns);
        bool byTensors = x.device_type != DeviceType.CPU || !IsSupported || x.dtype == float64 || AsksGradient(x);
        var y = byTensors && x.dtype == bfloat16 && OnCuda(x) is { } there ? there.Multiply(inputs)
            : byTensors ? RowBlocks.Product(inputs, rows, columns, (first, count) => Block(first, count, x.dtype))
            : MultiplyDense(inputs.to(x.dtype != float32 && HasTiles ? bfloat16 : float32));
        return y.to(x.dtype).reshape([.. x.shape[..^1], rows]).MoveToOuterDisposeScope();
    }

    private static bool AsksGradient(Tensor x) => is_grad_enabled() && x.requires_grad;

    /// <summary>The matrix for the device of inputs that ask for no gradient, or null where its operator does not take it.</summary>
    private CudaInt4? OnCuda(Tensor x)
    {
        long group = (long)groupSteps * Lanes * groupChunks;
        if (x.device.type != DeviceType.CUDA || lowest is null || AsksGradient(x) || !CudaInt4.Fits(rows, columns, group))
        {
            return null;
        }

        if (cudaInt4 is not null && cudaInt4.Device.index != x.device.index)
        {
            cudaInt4.Dispose();
            cudaInt4 = null;
        }

        if (cudaInt4 is null)
        {
            var (scales, offsets) = PerGroup(0, rows);
            cudaInt4 = new(Indices(0, rows), lowest.Value, scales, offsets, group);
        }

        return cudaInt4;
    }

    /// <summary>The product of a few tokens of 16 or 32 bits through the kernel, or null for any other.</summary>
    /// <remarks>The tensor library is asked for as little as possible: after a layer has gone through the caches each question costs a microsecond or more.</remarks>
    private Tensor? MultiplyFew(Tensor x)
    {
        if (!IsSupported || x.device_type != DeviceType.CPU || AsksGradient(x))
        {
            return null;
        }

        var dtype = x.dtype;
        if (dtype == float16)
        {
            using var wide = x.to(float32);
            using var product = MultiplyFew(wide);
            return product?.to(float16);
        }

        bool half = dtype == bfloat16;
        long[] shape = x.shape;
        long tokens = 1;
        for (int i = 0; i < shape.Length - 1; i++)
        {
            tokens *= shape[i];
        }

        if (!(half || dtype == float32) || shape.Length == 0 || shape[^1] != columns || tokens == 0 || tokens > MostTokens(half))
        {
            return null;
        }

        if (!x.is_contiguous())
        {
            using var dense = x.contiguous();
            return MultiplyFew(dense);
        }

        shape[^1] = rows;
        var result = empty(shape, dtype: dtype);
        var matrix = Matrix();
        byte* source = Address(x), target = Address(result);
        bool asTheyCome = !half && columns == PaddedColumns, asTheyGo = !half && rows == PaddedRows;
        bool inDigits = HasDigits;
        int digits = half ? TwoDigits.Count : ThreeDigits.Count;
        long sumsLength = matrix.Offsets is null ? 0 : Whole(matrix.Groups);
        long copyLength = asTheyCome ? 0 : PaddedColumns;
        long resultLength = asTheyGo ? 0 : Whole(PaddedRows);
        long outputStride = asTheyGo ? rows : resultLength;
        long digitsLength = inDigits ? Whole(Chunks) + (digits * PaddedColumns / sizeof(float)) : 0;
        float* sums = Work(tokens * (sumsLength + copyLength + resultLength + digitsLength));
        float* inputs = asTheyCome ? (float*)source : sums + (tokens * sumsLength);
        float* outputs = asTheyGo ? (float*)target : sums + (tokens * (sumsLength + copyLength));
        float* units = sums + (tokens * (sumsLength + copyLength + resultLength));
        for (long token = 0; token < tokens; token++)
        {
            float* line = inputs + (token * PaddedColumns);
            if (half)
            {
                HalfFloats.Widen((ushort*)source + (token * columns), line, columns);
            }
            else if (!asTheyCome)
            {
                new ReadOnlySpan<float>((float*)source + (token * columns), (int)columns).CopyTo(new(line, (int)columns));
            }

            if (!asTheyCome)
            {
                new Span<float>(line + columns, (int)(PaddedColumns - columns)).Clear();
            }

            if (matrix.Offsets is not null)
            {
                PackedKernel<NibbleCodes>.GroupSums(matrix, line, sums + (token * sumsLength));
            }

            inDigits = inDigits && IntegerKernel.Split(line, matrix.Chunks, digits, Digits(units + (token * digitsLength)), units + (token * digitsLength));
        }

        ForRows(tokens, rows, (first, last) =>
        {
            if (inDigits && half)
            {
                MultiplyDigits<TwoDigits>(matrix, units, digitsLength, sums, sumsLength, outputs, outputStride, tokens, first, last);
            }
            else if (inDigits)
            {
                MultiplyDigits<ThreeDigits>(matrix, units, digitsLength, sums, sumsLength, outputs, outputStride, tokens, first, last);
            }
            else if (Converts)
            {
                Multiply<NibbleLevels>(matrix, inputs, sums, sumsLength, outputs, outputStride, tokens, first, last);
            }
            else if (nibbles)
            {
                Multiply<NibbleCodes>(matrix, inputs, sums, sumsLength, outputs, outputStride, tokens, first, last);
            }
            else
            {
                Multiply<ByteCodes>(matrix, inputs, sums, sumsLength, outputs, outputStride, tokens, first, last);
            }
        });

        for (long token = 0; token < tokens && !asTheyGo; token++)
        {
            float* line = outputs + (token * outputStride);
            if (half)
            {
                HalfFloats.Narrow(line, (ushort*)target + (token * rows), rows);
            }
            else
            {
                new ReadOnlySpan<float>(line, (int)rows).CopyTo(new((float*)target + (token * rows), (int)rows));
            }
        }

        GC.KeepAlive(this);
        GC.KeepAlive(x);
        return result;
    }

    private int MostTokens(bool half) => SixteenLanes.AreWhole ? half && HasTiles ? MostTokensHalf : MostTokensSingle
        : HasDigits ? MostTokensInDigits
        : Converts ? MostTokensAsNumbers
        : MostTokensLookedUp;

    /// <summary>A count filled up to whole registers.</summary>
    private static long Whole(long count) => (count + Lanes - 1) / Lanes * Lanes;

    /// <summary>A thread's memory for this many values, at the start of a cache line.</summary>
    private static float* Work(long values)
    {
        if (work is null || work.Length < values + Lanes)
        {
            work = GC.AllocateUninitializedArray<float>((int)(values + Lanes), pinned: true);
        }

        nint start = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(work));
        return (float*)((start + PackedMatrix.CacheLine - 1) / PackedMatrix.CacheLine * PackedMatrix.CacheLine);
    }

    private void Multiply<TFormat>(in PackedMatrix matrix, float* x, float* sums, long sumsStride, float* y, long outputStride, long tokens, long first, long last)
        where TFormat : struct, ICodeFormat
    {
        long token = 0;
        for (; SixteenLanes.AreWhole && token + PackedKernel<TFormat>.TokenBlock <= tokens; token += PackedKernel<TFormat>.TokenBlock)
        {
            PackedKernel<TFormat>.MultiplyFour(matrix, x + (token * PaddedColumns), PaddedColumns, sums + (token * sumsStride), sumsStride, y + (token * outputStride), outputStride, first, last);
        }

        for (; token < tokens; token++)
        {
            PackedKernel<TFormat>.MultiplyOne(matrix, x + (token * PaddedColumns), sums + (token * sumsStride), y + (token * outputStride), first, last);
        }
    }

    private void MultiplyDigits<TDigits>(in PackedMatrix matrix, float* units, long stride, float* sums, long sumsStride, float* y, long outputStride, long tokens, long first, long last)
        where TDigits : struct, IDigits
    {
        for (long token = 0; token < tokens; token++, units += stride)
        {
            IntegerKernel.Multiply<TDigits>(matrix, Digits(units), units, sums + (token * sumsStride), y + (token * outputStride), first, last);
        }
    }

    /// <summary>A token's digits lie behind its units.</summary>
    private sbyte* Digits(float* units) => (sbyte*)(units + Whole(Chunks));

    /// <summary>Many tokens: W xᵀ, block by block of rows that are made dense.</summary>
    /// <param name="x">[tokens, columns] float32 or bfloat16, the dtype of the products.</param>
    /// <returns>[tokens, rows] in that dtype, in the caller's dispose scope.</returns>
    internal Tensor MultiplyDense(Tensor x)
    {
        var inputs = Padded(x);
        var dtype = inputs.dtype;
        bool interleaves = nibbles && dtype == bfloat16 && HalfFloats.Interleaves;
        if (interleaves)
        {
            var ordered = Scratch(Buffer.HalfInputs, inputs.shape[0], dtype);
            ushort* source = (ushort*)Address(inputs), target = (ushort*)Address(ordered);
            bool large = inputs.numel() >= ParallelWork;
            RowParallel.For(inputs.shape[0], large ? get_num_threads() : 1, (first, last) => HalfFloats.Interleave(source + (first * PaddedColumns), target + (first * PaddedColumns), (last - first) * PaddedColumns));
            inputs = ordered;
        }

        var columnsOfInputs = inputs.mT;
        var outputs = empty(rows, inputs.shape[0], dtype: dtype);
        var matrix = Matrix();
        int threads = get_num_threads();
        long most = inputs.shape[0] > ManyTokens ? 2 * DenseRows : DenseRows;
        long blocks = ((rows - 1) / most / threads + 1) * threads;
        long height = ((rows - 1) / blocks / RowBlock + 1) * RowBlock;
        blocks = (rows - 1) / height + 1;

        // Each thread makes and multiplies blocks of its own: sharing out each small product would cost more.
        RowParallel.For(blocks, (int)Math.Min(threads, blocks), (from, to) =>
        {
            using var inner = NewDisposeScope();
            using var none = no_grad();
            set_num_threads(1);
            try
            {
                var buffer = Scratch(dtype == float32 ? Buffer.SingleRows : Buffer.HalfRows, height, dtype);
                byte* target = Address(buffer);
                for (long block = from; block < to; block++)
                {
                    long first = block * height;
                    long count = Math.Min(height, rows - first);
                    Dequantize(matrix, first, first + ((count + RowBlock - 1) / RowBlock * RowBlock), target, dtype, interleaves);
                    outputs.narrow(0, first, count).addmm_(buffer.narrow(0, 0, count), columnsOfInputs, beta: 0);
                }
            }
            finally
            {
                set_num_threads(threads);
            }
        });
        GC.KeepAlive(this);
        return outputs.mT;
    }

    private void Dequantize(in PackedMatrix matrix, long first, long last, byte* target, ScalarType dtype, bool interleaved)
    {
        switch (nibbles, dtype == float32)
        {
            case (true, true): PackedKernel<NibbleCodes>.Dequantize(matrix, first, last, (float*)target); break;
            case (true, false) when interleaved: HalfFloats.Dequantize(matrix, first, last, (ushort*)target); break;
            case (true, false): PackedKernel<NibbleCodes>.Dequantize(matrix, first, last, (ushort*)target); break;
            case (false, true): PackedKernel<ByteCodes>.Dequantize(matrix, first, last, (float*)target); break;
            default: PackedKernel<ByteCodes>.Dequantize(matrix, first, last, (ushort*)target); break;
        }
    }

    /// <summary>Rows as a dense matrix [count, columns] by tensor operations, on any device.</summary>
    private Tensor Block(long first, long count, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor levels;
        if (nibbles)
        {
            var indices = Indices(first, count).to(int64);
            var tables = get_buffer("tables")!;
            levels = tables.shape[0] == 1 ? tables[0].index_select(0, indices.flatten()).reshape(count, -1) : tables.narrow(0, first, count).gather(1, indices);
        }
        else
        {
            levels = Codes(first, count).reshape(count, -1).to(float32);
        }

        var (scales, offsets) = PerGroup(first, count);
        var values = levels.reshape(count, -1, (long)groupSteps * Lanes) * Spread(scales);
        values = offsets is null ? values : values + Spread(offsets);
        return values.reshape(count, -1).narrow(1, 0, columns).to(dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Codes of nibbles [count, padded columns] int32.</summary>
    private Tensor Indices(long first, long count)
    {
        using var scope = NewDisposeScope();
        var codes = Codes(first, count);
        var steps = Enumerable.Range(0, ChunkSteps).Select(step => codes.bitwise_right_shift(tensor(4 * step, dtype: int32, device: codes.device)).bitwise_and(tensor(TableMask, dtype: int32, device: codes.device)));
        return stack([.. steps], 2).reshape(count, -1).MoveToOuterDisposeScope();
    }

    /// <summary>Codes of rows [count, chunks, codes of a chunk].</summary>
    private Tensor Codes(long first, long count)
    {
        long from = first / RowBlock, to = (first + count - 1) / RowBlock + 1;
        return get_buffer("codes")!.narrow(0, from, to - from).transpose(1, 2).flatten(0, 1).narrow(0, first - (from * RowBlock), count);
    }

    /// <summary>Scales and offsets of groups [count, groups] float32.</summary>
    private (Tensor Scales, Tensor? Offsets) PerGroup(long first, long count)
    {
        var scales = get_buffer("scales")!.narrow(0, first, count).to(float32);
        var offsets = has_buffer("offsets") ? get_buffer("offsets")!.narrow(0, first, count).to(float32) : null;
        return (scales, offsets is not null && offsetsInSteps ? offsets * scales : offsets);
    }

    /// <summary>What each group has, for each run of columns that share a step of the kernel [count, runs, 1].</summary>
    private Tensor Spread(Tensor groups) => groupChunks == 1 ? groups.unsqueeze(2) : groups.repeat_interleave(groupChunks, 1).narrow(1, 0, Chunks).unsqueeze(2);

    private PackedMatrix Matrix()
    {
        var (codes, scales) = (get_buffer("codes")!, get_buffer("scales")!);
        if (placed is { } known && ReferenceEquals(known.Codes, codes) && ReferenceEquals(known.Scales, scales))
        {
            return known.Matrix;
        }

        // A model that is cast casts what its layers hold; the kernel reads what it was made for.
        if (scales.dtype != float32 && !(inHalves && scales.dtype == float16) || IsCast("offsets") || IsCast("tables"))
        {
            this.to(float32);
            (codes, scales) = (get_buffer("codes")!, get_buffer("scales")!);
        }

        var (offsets, tables) = (has_buffer("offsets") ? get_buffer("offsets") : null, nibbles ? get_buffer("tables") : null);
        var matrix = new PackedMatrix
        {
            Codes = Address(codes),
            Tables = tables is null ? null : (float*)Address(tables),
            TableStride = tables is not null && tables.shape[0] > 1 ? Lanes : 0,
            Scales = Address(scales),
            ScalesInHalves = scales.dtype == float16,
            Offsets = offsets is null ? null : Address(offsets),
            OffsetsInSteps = offsetsInSteps,
            Groups = (int)scales.shape[1],
            Chunks = (int)Chunks,
            GroupSteps = groupSteps,
            GroupChunks = groupChunks,
        };
        placed = new(codes, scales, matrix);
        return matrix;

        bool IsCast(string name) => has_buffer(name) && get_buffer(name)!.dtype is not (ScalarType.Float32 or ScalarType.Int8);
    }

    /// <summary>Runs over rows on as many threads as the tensor library has, in whole blocks.</summary>
    private void ForRows(long workPerValue, long count, Action<long, long> work)
    {
        long blocks = (count + RowBlock - 1) / RowBlock;
        bool large = blocks * RowBlock * PaddedColumns * workPerValue >= ParallelWork;
        RowParallel.For(blocks, large ? (int)Math.Min(get_num_threads(), blocks) : 1, (first, last) => work(first * RowBlock, last * RowBlock));
    }

    private Tensor Padded(Tensor inputs) => (columns == PaddedColumns ? inputs : nn.functional.pad(inputs, [0, PaddedColumns - columns])).contiguous();

    private Tensor Scratch(Buffer kind, long height, ScalarType dtype)
    {
        scratch ??= new Tensor?[Enum.GetValues<Buffer>().Length];
        ref var buffer = ref scratch[(int)kind];
        long values = height * PaddedColumns;
        if (buffer is null || buffer.numel() < values)
        {
            buffer?.Dispose();
            buffer = empty(values, dtype: dtype).DetachFromDisposeScope();
        }

        return buffer.narrow(0, 0, values).reshape(height, PaddedColumns);
    }

    private Tensor Groups(Tensor perGroup, int repeats)
    {
        long groups = groupSteps == ChunkSteps ? (Chunks + groupChunks - 1) / groupChunks : Chunks * (ChunkSteps / groupSteps);
        var spread = repeats == 1 ? perGroup : perGroup.repeat_interleave(repeats, 1);
        spread = spread.shape[1] > groups ? spread.narrow(1, 0, groups) : spread;
        return nn.functional.pad(spread, [0, groups - spread.shape[1], 0, PaddedRows - rows]);
    }

    private static bool All(Tensor conditions) => conditions.all().item<bool>();

    /// <summary>Codes in the kernel's order [rows / 4, chunks, 4, …]: 16 int32 of 8 nibbles each, or 128 int8.</summary>
    private Tensor Pack(PackedCodes codes)
    {
        var packed = nibbles ? zeros(PaddedRows / RowBlock, Chunks, RowBlock, Lanes, dtype: int32) : zeros(PaddedRows / RowBlock, Chunks, RowBlock, ChunkColumns, dtype: int8);
        for (long first = 0; first < rows; first += PackedRows)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(PackedRows, rows - first);
            long blocks = (count + RowBlock - 1) / RowBlock;
            var block = nn.functional.pad(codes.Read(first, count).to(int32), [0, PaddedColumns - columns, 0, (blocks * RowBlock) - count]).reshape(blocks, RowBlock, Chunks, ChunkColumns).transpose(1, 2);
            var target = packed.narrow(0, first / RowBlock, blocks);
            if (!nibbles)
            {
                target.copy_(block);
                continue;
            }

            var steps = block.reshape(blocks, Chunks, RowBlock, ChunkSteps, Lanes);
            target.copy_(steps.select(3, 0));
            for (int step = 1; step < ChunkSteps; step++)
            {
                target.bitwise_or_(steps.select(3, step).bitwise_left_shift(tensor(4 * step, dtype: int32)));
            }
        }

        return packed;
    }

    private static byte* Address(Tensor tensor)
    {
        fixed (byte* start = tensor.bytes)
        {
            return start;
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            cudaInt4?.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>Where a matrix lies, as long as its codes and scales are these.</summary>
    private sealed record Placed(Tensor Codes, Tensor Scales, PackedMatrix Matrix);

    /// <summary>What a thread keeps buffers for.</summary>
    private enum Buffer
    {
        HalfRows,
        SingleRows,
        HalfInputs,
    }
}
