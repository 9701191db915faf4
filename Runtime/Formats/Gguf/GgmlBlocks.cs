using System.Buffers.Binary;

namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>Values to bytes and back, for the element types that have a codec here.</summary>
internal static class GgmlBlocks
{
    /// <summary>The largest float16 times the largest scale and code of any block: sums of powers of larger values could overflow.</summary>
    private const float LargestInBlocks = 65_504f * 128 * 32;

    private delegate void Decoder(ReadOnlySpan<byte> block, Span<float> values);

    private delegate void Encoder(ReadOnlySpan<float> values, Span<byte> block);

    private static readonly Dictionary<GgmlType, (Decoder Decode, Encoder Encode)> Codecs = new()
    {
        [GgmlType.F32] = ((block, values) => values[0] = BinaryPrimitives.ReadSingleLittleEndian(block), (values, block) => BinaryPrimitives.WriteSingleLittleEndian(block, values[0])),
        [GgmlType.F16] = ((block, values) => values[0] = (float)BinaryPrimitives.ReadHalfLittleEndian(block), (values, block) => WriteHalf(block, values[0])),
        [GgmlType.BF16] = (DecodeBrain, EncodeBrain),
        [GgmlType.Q4_0] = (Q40Block.Decode, Q40Block.Encode),
        [GgmlType.Q8_0] = (Q80Block.Decode, Q80Block.Encode),
        [GgmlType.Q4_K] = (Q4KBlock.Decode, Q4KBlock.Encode),
        [GgmlType.Q6_K] = (Q6KBlock.Decode, Q6KBlock.Encode),
    };

    /// <summary>Whether a type has a codec.</summary>
    public static bool CanDecode(GgmlType type) => Codecs.ContainsKey(type);

    /// <summary>Decodes whole blocks.</summary>
    /// <param name="type">A type with a codec.</param>
    /// <param name="blocks">The bytes.</param>
    /// <param name="values">As many values as the blocks hold.</param>
    public static void Decode(GgmlType type, ReadOnlySpan<byte> blocks, Span<float> values)
    {
        var decode = Codecs[type].Decode;
        int count = Count(type, values.Length, blocks.Length);
        for (int i = 0; i < count; i++)
        {
            decode(blocks.Slice(i * type.BlockBytes, type.BlockBytes), values.Slice(i * type.BlockElements, type.BlockElements));
        }
    }

    /// <summary>Encodes whole blocks, as llama.cpp's reference does without importances: all arithmetic in float32, one rounding an operation.</summary>
    /// <param name="type">A type with a codec.</param>
    /// <param name="values">The values.</param>
    /// <param name="blocks">As many bytes as the blocks take.</param>
    /// <exception cref="ArgumentException">A value is NaN or infinite, or so large that its scale does not fit float16.</exception>
    public static void Encode(GgmlType type, ReadOnlySpan<float> values, Span<byte> blocks)
    {
        foreach (float value in values)
        {
            if (!float.IsFinite(value) || (type.BlockElements > 1 && MathF.Abs(value) > LargestInBlocks))
            {
                throw new ArgumentException($"the value {value} has no place in a block of {type}", nameof(values));
            }
        }

        var encode = Codecs[type].Encode;
        int count = Count(type, values.Length, blocks.Length);
        for (int i = 0; i < count; i++)
        {
            encode(values.Slice(i * type.BlockElements, type.BlockElements), blocks.Slice(i * type.BlockBytes, type.BlockBytes));
        }
    }

    /// <summary>Writes a number as float16.</summary>
    /// <exception cref="ArgumentException">It does not fit.</exception>
    internal static void WriteHalf(Span<byte> place, float value)
    {
        var half = (Half)value;
        if (!Half.IsFinite(half))
        {
            throw new ArgumentException($"{value} does not fit float16", nameof(value));
        }

        BinaryPrimitives.WriteHalfLittleEndian(place, half);
    }

    private static int Count(GgmlType type, int values, int bytes)
    {
        var (count, rest) = Math.DivRem(values, type.BlockElements);
        return rest == 0 && (long)count * type.BlockBytes == bytes ? count
            : throw new ArgumentException($"{values} values and {bytes} bytes are no whole blocks of {type}");
    }

    private static void DecodeBrain(ReadOnlySpan<byte> block, Span<float> values) =>
        values[0] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(block) << 16);

    /// <summary>Rounds half to even by the bit that is kept last.</summary>
    private static void EncodeBrain(ReadOnlySpan<float> values, Span<byte> block)
    {
        uint bits = BitConverter.SingleToUInt32Bits(values[0]);
        BinaryPrimitives.WriteUInt16LittleEndian(block, (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }
}
