using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Where the parts of a packed matrix lie: w = scale · level(code) + offset, level by table or code.</summary>
/// <remarks>Columns are filled up to whole chunks of 128 with codes that meet zeros of the input, rows to a multiple of 4.</remarks>
internal readonly unsafe struct PackedMatrix
{
    /// <summary>Rows whose codes lie in one another.</summary>
    public const int RowBlock = 4;

    /// <summary>Bytes of codes from what is worked on to what is asked for.</summary>
    public const int Ahead = 4096;

    /// <summary>Bytes that memory gives at once.</summary>
    public const int CacheLine = 64;

    private const int Lanes = 16;

    /// <summary>Codes [rows / 4, chunks, 4, chunk bytes]: four rows are worked on at once and read as one stream.</summary>
    public required byte* Codes { get; init; }

    /// <summary>Levels [16] or [rows, 16]; null for codes that are levels.</summary>
    public required float* Tables { get; init; }

    /// <summary>16 where each row has its own levels, else 0.</summary>
    public required int TableStride { get; init; }

    /// <summary>Scales [rows, groups], float32 or float16.</summary>
    public required byte* Scales { get; init; }

    /// <summary>Whether scales are float16, none below zero.</summary>
    public required bool ScalesInHalves { get; init; }

    /// <summary>Offsets [rows, groups], or null: float32, or signed bytes that count steps of the scale, as zero points do.</summary>
    public required byte* Offsets { get; init; }

    /// <summary>Whether offsets count steps of the scale.</summary>
    public required bool OffsetsInSteps { get; init; }

    /// <summary>Groups of a row.</summary>
    public required int Groups { get; init; }

    /// <summary>Chunks of a row.</summary>
    public required int Chunks { get; init; }

    /// <summary>Steps of 16 columns that share a scale, at most 8: a divisor of 8.</summary>
    public required int GroupSteps { get; init; }

    /// <summary>Chunks that share a scale, where groups are longer than one; else 1.</summary>
    public required int GroupChunks { get; init; }

    /// <summary>The codes of a row's chunk.</summary>
    public byte* Chunk<TFormat>(long row, int chunk)
        where TFormat : struct, ICodeFormat => Codes + (((((row / RowBlock * Chunks) + chunk) * RowBlock) + (row % RowBlock)) * TFormat.ChunkBytes);

    /// <summary>Values that <see cref="ReadGroups"/> needs for some rows.</summary>
    public int WideValues(int rows) => ScalesInHalves || OffsetsInSteps ? 2 * rows * Groups : 0;

    /// <summary>Scales and offsets of rows as float32 [rows, groups].</summary>
    /// <param name="row">The first row.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="wide">Where they are put if they do not lie like this: <see cref="WideValues"/> values.</param>
    /// <param name="offsets">The offsets, or null.</param>
    /// <returns>The scales.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public float* ReadGroups(long row, int rows, float* wide, out float* offsets)
    {
        int count = rows * Groups;
        long start = row * Groups;
        float* scales = (float*)Scales + start;
        if (ScalesInHalves)
        {
            HalfFloats.WidenFloat16((ushort*)Scales + start, wide, count);
            scales = wide;
        }

        offsets = Offsets is null ? null : (float*)Offsets + start;
        if (OffsetsInSteps)
        {
            sbyte* steps = (sbyte*)Offsets + start;
            offsets = wide + count;
            int i = 0;
            for (; i <= count - Lanes; i += Lanes)
            {
                (SixteenLanes.Load(steps + i) * Vector512.Load(scales + i)).Store(offsets + i);
            }

            for (; i < count; i++)
            {
                offsets[i] = steps[i] * scales[i];
            }
        }

        return scales;
    }

    /// <summary>Asks for the scales and offsets of rows.</summary>
    public void PrefetchGroups(long row, int rows)
    {
        Prefetch(Scales, ScalesInHalves ? sizeof(ushort) : sizeof(float), row, rows);
        if (Offsets is not null)
        {
            Prefetch(Offsets, OffsetsInSteps ? sizeof(sbyte) : sizeof(float), row, rows);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Prefetch(byte* values, int size, long row, int rows)
    {
        byte* end = values + ((row + rows) * Groups * size);
        for (byte* next = values + (row * Groups * size); next < end; next += CacheLine)
        {
            Sse.Prefetch0(next);
        }
    }
}
