using System.Buffers.Binary;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Q6_K: 256 values in 210 bytes, sixteen sub-blocks of 16, w = d · scale · (code − 32) with signed 8-bit scales.</summary>
/// <remarks>
/// Layout: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 scales, float16 d. In each half of 128 values, l = 0 … 31: nibble byte l holds values l and l + 64,
/// nibble byte 32 + l values l + 32 and l + 96, and byte l of the pairs the high bits of all four from the lowest up.
/// </remarks>
internal static class Q6KBlock
{
    public const int Elements = 256;
    public const int Bytes = 210;

    private const int SubBlocks = 16;
    private const int Length = Elements / SubBlocks;
    private const int HighBits = 128;
    private const int ScalesAt = 192;
    private const int ScaleAt = 208;
    private const int Zero = 32;

    /// <summary>Sub-blocks smaller than this are zeros.</summary>
    private const float Smallest = 1e-15f;

    /// <summary>Decodes a block.</summary>
    public static void Decode(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block[ScaleAt..]);
        for (int i = 0; i < Elements; i++)
        {
            var (low, isHighNibble, high, shift) = Place(i);
            int code = (block[low] >> (isHighNibble ? 4 : 0) & 0xF) | (block[high] >> shift & 3) << 4;
            values[i] = d * (sbyte)block[ScalesAt + i / Length] * (code - Zero);
        }
    }

    /// <summary>Encodes a block: a scale a sub-block by least squares over trial codes, then codes again with the scales as they are stored.</summary>
    public static void Encode(ReadOnlySpan<float> values, Span<byte> block)
    {
        Span<float> scales = stackalloc float[SubBlocks];
        Span<sbyte> codes = stackalloc sbyte[Elements];
        float extreme = 0;
        for (int j = 0; j < SubBlocks; j++)
        {
            scales[j] = FitScale(values.Slice(j * Length, Length), codes.Slice(j * Length, Length));
            extreme = MathF.Abs(scales[j]) > MathF.Abs(extreme) ? scales[j] : extreme;
        }

        block.Clear();
        if (MathF.Abs(extreme) < Smallest)
        {
            return;
        }

        float inverse = -128 / extreme;
        GgmlBlocks.WriteHalf(block[ScaleAt..], 1 / inverse);
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block[ScaleAt..]);
        for (int i = 0; i < Elements; i++)
        {
            sbyte scale = (sbyte)Math.Clamp(MathF.Round(inverse * scales[i / Length]), -128, 127);
            block[ScalesAt + i / Length] = (byte)scale;
            float step = d * scale;
            Write(block, i, (step == 0 ? codes[i] : Code(values[i] / step)) + Zero);
        }
    }

    private static (int Low, bool IsHighNibble, int High, int Shift) Place(int index)
    {
        var (half, rest) = Math.DivRem(index, Elements / 2);
        var (quarter, l) = Math.DivRem(rest, 32);
        return (64 * half + 32 * (quarter % 2) + l, quarter >= 2, HighBits + 32 * half + l, 2 * quarter);
    }

    private static void Write(Span<byte> block, int index, int code)
    {
        var (low, isHighNibble, high, shift) = Place(index);
        block[low] |= (byte)((code & 0xF) << (isHighNibble ? 4 : 0));
        block[high] |= (byte)(code >> 4 << shift);
    }

    /// <summary>The scale that minimises Σ w² · (scale · code − w)² over codes rounded with −(32 + 0.1 t) / extreme, t from −9 to 9, the plain one first.</summary>
    private static float FitScale(ReadOnlySpan<float> values, Span<sbyte> codes)
    {
        float extreme = 0;
        foreach (float value in values)
        {
            extreme = MathF.Abs(value) > MathF.Abs(extreme) ? value : extreme;
        }

        if (MathF.Abs(extreme) < Smallest)
        {
            // Stored as 0, which the scale of 0 makes as good as any other code.
            codes.Fill(-Zero);
            return 0;
        }

        var (sumXL, sumLL) = Sums(values, -Zero / extreme);
        Round(values, -Zero / extreme, codes);
        float scale = sumLL == 0 ? 0 : sumXL / sumLL;
        float best = scale * sumXL;
        for (int t = -9; t <= 9; t++)
        {
            float inverse = -(Zero + 0.1f * t) / extreme;
            (sumXL, sumLL) = Sums(values, inverse);
            if (t != 0 && sumLL > 0 && sumXL * sumXL > best * sumLL)
            {
                Round(values, inverse, codes);
                scale = sumXL / sumLL;
                best = scale * sumXL;
            }
        }

        return scale;
    }

    private static (float SumXL, float SumLL) Sums(ReadOnlySpan<float> values, float inverse)
    {
        float sumXL = 0, sumLL = 0;
        foreach (float value in values)
        {
            float weight = value * value;
            int code = Code(inverse * value);
            sumXL += weight * value * code;
            sumLL += weight * code * code;
        }

        return (sumXL, sumLL);
    }

    private static void Round(ReadOnlySpan<float> values, float inverse, Span<sbyte> codes)
    {
        for (int i = 0; i < values.Length; i++)
        {
            codes[i] = Code(inverse * values[i]);
        }
    }

    private static sbyte Code(float position) => (sbyte)Math.Clamp(MathF.Round(position), -Zero, Zero - 1);
}
