using System.Buffers.Binary;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Q4_0: 32 values in 18 bytes, w = d · (code − 8); d is a float16, byte j holds code j low and code j + 16 high.</summary>
internal static class Q40Block
{
    public const int Elements = 32;
    public const int Bytes = 18;

    private const int Pairs = Elements / 2;

    /// <summary>Decodes a block.</summary>
    public static void Decode(ReadOnlySpan<byte> block, Span<float> values)
    {
        float scale = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        for (int j = 0; j < Pairs; j++)
        {
            int pair = block[2 + j];
            values[j] = scale * ((pair & 0xF) - 8);
            values[j + Pairs] = scale * ((pair >> 4) - 8);
        }
    }

    /// <summary>Encodes a block: d carries the sign of the value of largest magnitude, which becomes code 0 exactly.</summary>
    public static void Encode(ReadOnlySpan<float> values, Span<byte> block)
    {
        float extreme = 0;
        foreach (float value in values)
        {
            extreme = MathF.Abs(value) > MathF.Abs(extreme) ? value : extreme;
        }

        float scale = extreme / -8;
        float inverse = scale == 0 ? 0 : 1 / scale;
        Span<byte> codes = stackalloc byte[Elements];
        for (int i = 0; i < Elements; i++)
        {
            // Truncation, not rounding: ties go up.
            codes[i] = (byte)Math.Min(15, (int)(values[i] * inverse + 8.5f));
        }

        Write(scale, codes, block);
    }

    /// <summary>Writes a block from its parts.</summary>
    /// <param name="scale">d.</param>
    /// <param name="codes">32 codes from 0 to 15.</param>
    /// <param name="block">18 bytes.</param>
    public static void Write(float scale, ReadOnlySpan<byte> codes, Span<byte> block)
    {
        GgmlBlocks.WriteHalf(block, scale);
        for (int j = 0; j < Pairs; j++)
        {
            block[2 + j] = (byte)(codes[j] | codes[j + Pairs] << 4);
        }
    }
}
