using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Q8_0: 32 values in 34 bytes, w = d · code; d is a float16, codes are signed bytes.</summary>
internal static class Q80Block
{
    public const int Elements = 32;
    public const int Bytes = 34;

    /// <summary>Decodes a block.</summary>
    public static void Decode(ReadOnlySpan<byte> block, Span<float> values)
    {
        float scale = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        for (int i = 0; i < Elements; i++)
        {
            values[i] = scale * (sbyte)block[2 + i];
        }
    }

    /// <summary>Encodes a block: d = max|w| / 127 in float32 for the codes, which round half away from zero, and in float16 for the file.</summary>
    public static void Encode(ReadOnlySpan<float> values, Span<byte> block)
    {
        float largest = 0;
        foreach (float value in values)
        {
            largest = MathF.Max(largest, MathF.Abs(value));
        }

        float scale = largest / 127;
        Span<sbyte> codes = stackalloc sbyte[Elements];
        for (int i = 0; i < Elements; i++)
        {
            // Where the scale is subnormal, its rounding can carry a quotient past 127.
            codes[i] = scale == 0 ? (sbyte)0 : (sbyte)Math.Clamp(MathF.Round(values[i] / scale, MidpointRounding.AwayFromZero), -127, 127);
        }

        Write(scale, codes, block);
    }

    /// <summary>Writes a block from its parts.</summary>
    /// <param name="scale">d.</param>
    /// <param name="codes">32 codes.</param>
    /// <param name="block">34 bytes.</param>
    public static void Write(float scale, ReadOnlySpan<sbyte> codes, Span<byte> block)
    {
        GgmlBlocks.WriteHalf(block, scale);
        MemoryMarshal.AsBytes(codes).CopyTo(block[2..]);
    }
}
