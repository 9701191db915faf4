namespace PipelineDsl.Runtime.Weights;

/// <summary>Codes of 2 to 8 bits in a row of bytes: low bits first, the last byte padded with zeros, negative codes in two's complement.</summary>
internal static class BitPacking
{
    public static long RowBytes(long codes, int bits) => (codes * bits + 7) / 8;

    public static void Pack(ReadOnlySpan<short> codes, Span<byte> packed, int bits)
    {
        uint mask = (1u << bits) - 1;
        uint buffer = 0;
        int held = 0;
        int next = 0;
        foreach (short code in codes)
        {
            buffer |= ((uint)code & mask) << held;
            held += bits;
            if (held >= 8)
            {
                packed[next++] = (byte)buffer;
                buffer >>= 8;
                held -= 8;
            }
        }

        if (held > 0)
        {
            packed[next] = (byte)buffer;
        }
    }

    public static void Unpack(ReadOnlySpan<byte> packed, Span<short> codes, int bits, bool signed)
    {
        uint mask = (1u << bits) - 1;
        int sign = signed ? 1 << (bits - 1) : 0;
        uint buffer = 0;
        int held = 0;
        int next = 0;
        for (int i = 0; i < codes.Length; i++)
        {
            if (held < bits)
            {
                buffer |= (uint)packed[next++] << held;
                held += 8;
            }

            codes[i] = (short)(((int)(buffer & mask) ^ sign) - sign);
            buffer >>= bits;
            held -= bits;
        }
    }
}
