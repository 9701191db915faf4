using System.Numerics;
using System.Runtime.Intrinsics.X86;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>A matrix of few bits that is multiplied as it is packed.</summary>
/// <remarks>
/// On the CPU, few tokens go through <see cref="PackedKernel{TFormat}"/> in float32; for many, blocks of rows become dense, one after the other, in a small buffer in the dtype of the inputs,
/// and the tensor library multiplies them. Elsewhere, and where gradients are asked for, blocks are made by tensor operations.
/// </remarks>
internal sealed unsafe class PackedRunner : WeightRunner
{
    private const int Lanes = 16;
    private const int ChunkColumns = 128;
    private const int ChunkSteps = 8;
    private const int RowBlock = 4;
    private const int TableMask = 15;

    /// <summary>Rows that are made dense at once, at most, and for how many tokens twice as many: the more there are, the less it matters that they leave the cache.</summary>
    private const int DenseRows = 512;
    private const int ManyTokens = 128;

    /// <summary>Rows of codes that are packed at once.</summary>
    private const int PackedRows = 256;

    /// <summary>Tokens up to which the kernel costs less than making the weight dense; measured with inputs of both dtypes. Registers of AVX2 do not hold what several tokens need.</summary>
    private static readonly int MostTokensHalf = SixteenLanes.AreWhole ? 16 : 3;
    private static readonly int MostTokensSingle = SixteenLanes.AreWhole ? 24 : 3;

    /// <summary>Multiplications from which on several threads pay.</summary>
    private const long ParallelWork = 1 << 19;

    /// <summary>Whether the processor multiplies bfloat16 in tiles (AMX). Without, the tensor library's products of float32 are faster, by up to half at 64 tokens.</summary>
    private static readonly bool HasTiles = X86Base.IsSupported && (X86Base.CpuId(7, 0).Edx & (1 << 22)) != 0;

    /// <summary>A thread's buffers: memory that is touched for the first time costs more than the arithmetic.</summary>
    [ThreadStatic]
    private static Tensor?[]? scratch;

    private readonly long rows;
    private readonly long columns;
    private readonly bool nibbles;
    private readonly int groupSteps;
    private readonly int groupChunks;
    private readonly int? lowest;

    /// <summary>The matrix as the operator of a CUDA device wants it, made at its first use there.</summary>
    private CudaInt4? cudaInt4;

    private PackedRunner(PackedParts parts)
        : base(nameof(PackedRunner))
    {
        using var scope = NewDisposeScope();
        (rows, columns, nibbles, lowest) = (parts.Codes.Rows, parts.Codes.Columns, parts.Tables is not null, parts.Lowest);
        long steps = parts.GroupLength >= columns ? ChunkSteps * Chunks : parts.GroupLength / Lanes;
        groupSteps = (int)BigInteger.GreatestCommonDivisor(steps, ChunkSteps);
        groupChunks = groupSteps == ChunkSteps ? (int)(steps / ChunkSteps) : 1;
        int repeats = (int)(steps / (groupSteps * groupChunks));
        Keep("codes", Pack(parts.Codes));
        Keep("scales", Groups(parts.Scales, repeats));
        if (parts.Offsets is not null)
        {
            Keep("offsets", Groups(parts.Offsets, repeats));
        }

        if (parts.Tables is not null)
        {
            Keep("tables", parts.Tables.shape[0] == 1 ? parts.Tables : nn.functional.pad(parts.Tables, [0, 0, 0, PaddedRows - rows]));
        }
    }

    /// <summary>Whether this machine has the instructions of the kernel; without them weights are better dense.</summary>
    public static bool IsSupported => SixteenLanes.AreThere;

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
        using var scope = NewDisposeScope();
        var inputs = x.reshape(-1, columns);
        long tokens = inputs.shape[0];
        bool half = x.dtype == bfloat16;
        bool byTensors = x.device.type != DeviceType.CPU || !IsSupported || x.dtype == float64 || (is_grad_enabled() && x.requires_grad);
        var y = byTensors && half && OnCuda(x) is { } there ? there.Multiply(inputs)
            : byTensors ? RowBlocks.Product(inputs, rows, columns, (first, count) => Block(first, count, x.dtype))
            : tokens > (half && HasTiles ? MostTokensHalf : MostTokensSingle) ? MultiplyDense(inputs.to(x.dtype != float32 && HasTiles ? bfloat16 : float32))
            : half ? Narrowed(Multiply(Widened(Padded(inputs))))
            : Multiply(Padded(inputs.to(float32))).narrow(1, 0, rows);
        return y.to(x.dtype).reshape([.. x.shape[..^1], rows]).MoveToOuterDisposeScope();
    }

    /// <summary>The matrix for the device of inputs that ask for no gradient, or null where its operator does not take it.</summary>
    private CudaInt4? OnCuda(Tensor x)
    {
        long group = (long)groupSteps * Lanes * groupChunks;
        if (x.device.type != DeviceType.CUDA || lowest is null || (is_grad_enabled() && x.requires_grad) || !CudaInt4.Fits(rows, columns, group))
        {
            return null;
        }

        if (cudaInt4 is not null && cudaInt4.Device.index != x.device.index)
        {
            cudaInt4.Dispose();
            cudaInt4 = null;
        }

        return cudaInt4 ??= new(Indices(0, rows), lowest.Value, Own("scales"), has_buffer("offsets") ? Own("offsets") : null, group);

        Tensor Own(string name) => get_buffer(name)!.narrow(0, 0, rows);
    }

    /// <summary>bfloat16 as float32. The tensor library would wake its threads for it.</summary>
    private static Tensor Widened(Tensor inputs)
    {
        var wide = empty(inputs.shape, dtype: float32);
        HalfFloats.Widen((ushort*)Address(inputs), Floats(wide), inputs.numel());
        return wide;
    }

    private Tensor Narrowed(Tensor outputs)
    {
        var narrow = empty(outputs.shape, dtype: bfloat16);
        HalfFloats.Narrow(Floats(outputs), (ushort*)Address(narrow), outputs.numel());
        return narrow.narrow(1, 0, rows);
    }

    /// <summary>A few tokens [tokens, padded columns] float32 through the kernel; [tokens, padded rows].</summary>
    private Tensor Multiply(Tensor inputs)
    {
        long tokens = inputs.shape[0];
        var matrix = Matrix();
        var sums = empty(tokens, matrix.Groups, dtype: float32);
        var outputs = empty(tokens, PaddedRows, dtype: float32);
        float* x = Floats(inputs), s = Floats(sums), y = Floats(outputs);
        if (matrix.Offsets is not null)
        {
            for (long token = 0; token < tokens; token++)
            {
                PackedKernel<NibbleCodes>.GroupSums(matrix, x + (token * PaddedColumns), s + (token * matrix.Groups));
            }
        }

        ForRows(tokens, rows, (first, last) =>
        {
            if (nibbles)
            {
                Multiply<NibbleCodes>(matrix, x, s, y, tokens, first, last);
            }
            else
            {
                Multiply<ByteCodes>(matrix, x, s, y, tokens, first, last);
            }
        });
        GC.KeepAlive(this);
        return outputs;
    }

    private void Multiply<TFormat>(in PackedMatrix matrix, float* x, float* sums, float* y, long tokens, long first, long last)
        where TFormat : struct, ICodeFormat
    {
        long token = 0;
        for (; token + PackedKernel<TFormat>.TokenBlock <= tokens; token += PackedKernel<TFormat>.TokenBlock)
        {
            PackedKernel<TFormat>.MultiplyFour(matrix, x + (token * PaddedColumns), PaddedColumns, sums + (token * matrix.Groups), y + (token * PaddedRows), PaddedRows, first, last);
        }

        for (; token < tokens; token++)
        {
            PackedKernel<TFormat>.MultiplyOne(matrix, x + (token * PaddedColumns), sums + (token * matrix.Groups), y + (token * PaddedRows), first, last);
        }
    }

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
        var codes = get_buffer("codes")!.narrow(0, first, count);
        Tensor levels;
        if (nibbles)
        {
            var indices = Indices(first, count).to(int64);
            var tables = get_buffer("tables")!;
            levels = tables.shape[0] == 1 ? tables[0].index_select(0, indices.flatten()).reshape(count, -1) : tables.narrow(0, first, count).gather(1, indices);
        }
        else
        {
            levels = codes.reshape(count, -1).to(float32);
        }

        var values = levels.reshape(count, -1, (long)groupSteps * Lanes) * Spread("scales", first, count);
        values = has_buffer("offsets") ? values + Spread("offsets", first, count) : values;
        return values.reshape(count, -1).narrow(1, 0, columns).to(dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Codes of nibbles [count, padded columns] int32.</summary>
    private Tensor Indices(long first, long count)
    {
        using var scope = NewDisposeScope();
        var codes = get_buffer("codes")!.narrow(0, first, count);
        var steps = Enumerable.Range(0, ChunkSteps).Select(step => codes.bitwise_right_shift(tensor(4 * step, dtype: int32, device: codes.device)).bitwise_and(tensor(TableMask, dtype: int32, device: codes.device)));
        return stack([.. steps], 2).reshape(count, -1).MoveToOuterDisposeScope();
    }

    /// <summary>What each group has, for each run of columns that share a step of the kernel [count, runs, 1].</summary>
    private Tensor Spread(string name, long first, long count)
    {
        var groups = get_buffer(name)!.narrow(0, first, count);
        return groupChunks == 1 ? groups.unsqueeze(2) : groups.repeat_interleave(groupChunks, 1).narrow(1, 0, Chunks).unsqueeze(2);
    }

    private PackedMatrix Matrix() => new()
    {
        Codes = Address(get_buffer("codes")!),
        Tables = nibbles ? Floats(get_buffer("tables")!) : null,
        TableStride = nibbles && get_buffer("tables")!.shape[0] > 1 ? Lanes : 0,
        Scales = Floats(get_buffer("scales")!),
        Offsets = has_buffer("offsets") ? Floats(get_buffer("offsets")!) : null,
        Groups = (int)get_buffer("scales")!.shape[1],
        Chunks = (int)Chunks,
        GroupSteps = groupSteps,
        GroupChunks = groupChunks,
    };

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

    /// <summary>Codes in the kernel's order: int32 [rows, chunks, 16] of 8 nibbles each, or int8 [rows, columns].</summary>
    private Tensor Pack(PackedCodes codes)
    {
        var packed = nibbles ? zeros(PaddedRows, Chunks, Lanes, dtype: int32) : zeros(PaddedRows, PaddedColumns, dtype: int8);
        for (long first = 0; first < rows; first += PackedRows)
        {
            using var scope = NewDisposeScope();
            long count = Math.Min(PackedRows, rows - first);
            var block = nn.functional.pad(codes.Read(first, count).to(int32), [0, PaddedColumns - columns]);
            if (!nibbles)
            {
                packed.narrow(0, first, count).copy_(block.to(int8));
                continue;
            }

            var steps = block.reshape(count, Chunks, ChunkSteps, Lanes);
            var words = steps.select(2, 0).clone();
            for (int step = 1; step < ChunkSteps; step++)
            {
                words.bitwise_or_(steps.select(2, step).bitwise_left_shift(tensor(4 * step, dtype: int32)));
            }

            packed.narrow(0, first, count).copy_(words);
        }

        return packed;
    }

    private static float* Floats(Tensor tensor) => (float*)Address(tensor);

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

    /// <summary>What a thread keeps buffers for.</summary>
    private enum Buffer
    {
        HalfRows,
        SingleRows,
        HalfInputs,
    }
}
