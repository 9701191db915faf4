using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace PipelineDsl.Runtime.Execution;

/// <summary>How the codes of a row lie in memory: chunks of 128 columns, read in 8 steps of 16 columns each.</summary>
internal unsafe interface ICodeFormat
{
    /// <summary>Bytes of a chunk.</summary>
    static abstract int ChunkBytes { get; }

    /// <summary>What is kept in a register while a chunk is read.</summary>
    static abstract Vector512<int> Begin(byte* chunk);

    /// <summary>The levels of the next 16 columns.</summary>
    /// <param name="chunk">The chunk.</param>
    /// <param name="step">0 to 7, in this order.</param>
    /// <param name="held">What <see cref="Begin"/> gave.</param>
    /// <param name="table">The levels of codes, where the format looks them up.</param>
    static abstract Vector512<float> Next(byte* chunk, int step, ref Vector512<int> held, Vector512<float> table);

    /// <summary>As <see cref="Begin"/>, for half the lanes.</summary>
    static abstract Vector256<int> BeginHalf(byte* chunk, int half);

    /// <summary>As <see cref="Next"/>, for half the lanes; with AVX2.</summary>
    /// <param name="chunk">The chunk.</param>
    /// <param name="step">0 to 7, in this order.</param>
    /// <param name="half">0 or 1.</param>
    /// <param name="held">What <see cref="BeginHalf"/> gave.</param>
    /// <param name="lower">Levels of codes 0 to 7, where the format looks them up.</param>
    /// <param name="upper">Levels of codes 8 to 15.</param>
    static abstract Vector256<float> NextHalf(byte* chunk, int step, int half, ref Vector256<int> held, Vector256<float> lower, Vector256<float> upper);

    /// <summary>What <see cref="NextScaled"/> needs of a group: its scaled levels, or the scale.</summary>
    static abstract Vector512<float> Scale(Vector512<float> table, Vector512<float> scale);

    /// <summary>The levels of the next 16 columns times the scale of their group.</summary>
    static abstract Vector512<float> NextScaled(byte* chunk, int step, ref Vector512<int> held, Vector512<float> scaled);
}

/// <summary>Codes of up to 4 bits that are looked up in a table of 16 levels. Lane i of a chunk's 16 integers holds the codes of columns i, i + 16, …, i + 112, the first in the lowest bits.</summary>
internal readonly unsafe struct NibbleCodes : ICodeFormat
{
    public static int ChunkBytes => 64;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Begin(byte* chunk) => Vector512.Load((int*)chunk);

    /// <summary>The look-up reads the lowest 4 bits of each integer, so nothing needs to be masked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Next(byte* chunk, int step, ref Vector512<int> held, Vector512<float> table)
    {
        var levels = SixteenLanes.LookUp(table, held);
        held = Vector512.ShiftRightLogical(held, 4);
        return levels;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> BeginHalf(byte* chunk, int half) => Vector256.Load((int*)chunk + (8 * half));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> NextHalf(byte* chunk, int step, int half, ref Vector256<int> held, Vector256<float> lower, Vector256<float> upper)
    {
        var levels = SixteenLanes.LookUp(lower, upper, held);
        held = Vector256.ShiftRightLogical(held, 4);
        return levels;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Scale(Vector512<float> table, Vector512<float> scale) => table * scale;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NextScaled(byte* chunk, int step, ref Vector512<int> held, Vector512<float> scaled) => Next(chunk, step, ref held, scaled);
}

/// <summary>The same where codes are themselves the levels: with AVX2, whose registers hold half a table, they are converted faster than looked up.</summary>
internal readonly unsafe struct NibbleLevels : ICodeFormat
{
    public static int ChunkBytes => NibbleCodes.ChunkBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Begin(byte* chunk) => NibbleCodes.Begin(chunk);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Next(byte* chunk, int step, ref Vector512<int> held, Vector512<float> table) => NibbleCodes.Next(chunk, step, ref held, table);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> BeginHalf(byte* chunk, int half) => NibbleCodes.BeginHalf(chunk, half);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> NextHalf(byte* chunk, int step, int half, ref Vector256<int> held, Vector256<float> lower, Vector256<float> upper)
    {
        var levels = Vector256.ConvertToSingle(held & Vector256.Create(0x0F));
        held = Vector256.ShiftRightLogical(held, 4);
        return levels;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Scale(Vector512<float> table, Vector512<float> scale) => NibbleCodes.Scale(table, scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NextScaled(byte* chunk, int step, ref Vector512<int> held, Vector512<float> scaled) => NibbleCodes.NextScaled(chunk, step, ref held, scaled);
}

/// <summary>Codes that are signed bytes, column after column, and are themselves the levels.</summary>
internal readonly unsafe struct ByteCodes : ICodeFormat
{
    public static int ChunkBytes => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Begin(byte* chunk) => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Next(byte* chunk, int step, ref Vector512<int> held, Vector512<float> table) =>
        SixteenLanes.Load((sbyte*)(chunk + (16 * step)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> BeginHalf(byte* chunk, int half) => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> NextHalf(byte* chunk, int step, int half, ref Vector256<int> held, Vector256<float> lower, Vector256<float> upper) =>
        Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)(chunk + (16 * step) + (8 * half))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Scale(Vector512<float> table, Vector512<float> scale) => scale;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NextScaled(byte* chunk, int step, ref Vector512<int> held, Vector512<float> scaled) => Next(chunk, step, ref held, default) * scaled;
}
