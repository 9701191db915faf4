namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>The bytes of bitsandbytes' 4-bit weights: two codes a byte over the flattened matrix, the first in the <em>high</em> nibble.</summary>
internal static class NibblePairs
{
    /// <summary>Packs codes; an odd last one is followed by a zero.</summary>
    /// <exception cref="ArgumentException">A code does not fit 4 bits.</exception>
    public static byte[] Pack(ReadOnlySpan<byte> codes)
    {
        WordStream.RequireCodes(codes, 4);
        byte[] packed = new byte[(codes.Length + 1) / 2];
        for (int i = 0; i < codes.Length; i++)
        {
            packed[i / 2] |= (byte)(i % 2 == 0 ? codes[i] << 4 : codes[i]);
        }

        return packed;
    }

    /// <summary>Unpacks codes.</summary>
    /// <param name="packed">The bytes.</param>
    /// <param name="count">How many codes.</param>
    /// <exception cref="ArgumentException">There are more or fewer bytes.</exception>
    public static byte[] Unpack(ReadOnlySpan<byte> packed, int count)
    {
        WordStream.RequireLength(packed.Length, (count + 1) / 2, 1, nameof(packed));
        byte[] codes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            codes[i] = (byte)(i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 0xF);
        }

        return codes;
    }
}
