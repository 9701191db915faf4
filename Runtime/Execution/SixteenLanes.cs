using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace PipelineDsl.Runtime.Execution;

/// <summary>What 16 lanes can do and <see cref="Vector512"/> has no word for: one instruction with AVX-512, two halves with AVX2.</summary>
internal static unsafe class SixteenLanes
{
    private const int Half = 8;

    /// <summary>The bit of an index that names the half of a table, and where a blend looks for it.</summary>
    private const int HalfBit = 3;
    private const int SignBit = 31;

    /// <summary>Whether a register holds all of them.</summary>
    public static bool AreWhole => Avx512F.IsSupported;

    /// <summary>Whether the processor has one of both.</summary>
    public static bool AreThere => AreWhole || (Avx2.IsSupported && Fma.IsSupported);

    /// <summary>Entries of a table of 16, by the lowest 4 bits of each index.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LookUp(Vector512<float> table, Vector512<int> indices) => Avx512F.IsSupported
        ? Avx512F.PermuteVar16x32(table, indices)
        : Vector512.Create(LookUp(table.GetLower(), table.GetUpper(), indices.GetLower()), LookUp(table.GetLower(), table.GetUpper(), indices.GetUpper()));

    /// <summary>16 signed bytes as numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(sbyte* source) => Vector512.ConvertToSingle(Avx512F.IsSupported
        ? Avx512F.ConvertToVector512Int32(Vector128.Load(source))
        : Vector512.Create(Avx2.ConvertToVector256Int32(source), Avx2.ConvertToVector256Int32(source + Half)));

    /// <summary>16 halves of integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Load(ushort* source) => Avx512F.IsSupported
        ? Avx512F.ConvertToVector512Int32(Vector256.Load(source))
        : Vector512.Create(Avx2.ConvertToVector256Int32(source), Avx2.ConvertToVector256Int32(source + Half));

    /// <summary>The lower half of each integer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> LowerHalves(Vector512<uint> values) => Avx512F.IsSupported
        ? Avx512F.ConvertToVector256UInt16(values)
        : Vector256.Narrow(values.GetLower(), values.GetUpper());

    /// <summary>The same of a table in halves, for 8 indices; with AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LookUp(Vector256<float> lower, Vector256<float> upper, Vector256<int> indices) => Avx.BlendVariable(
        Avx2.PermuteVar8x32(lower, indices),
        Avx2.PermuteVar8x32(upper, indices),
        Vector256.ShiftLeft(indices, SignBit - HalfBit).AsSingle());
}
