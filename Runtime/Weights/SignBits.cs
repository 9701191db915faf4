namespace PipelineDsl.Runtime.Weights;

/// <summary>Signs as bits, 1 for + and 0 for −: eight a byte, the first in the highest bit, the last byte padded with zeros.</summary>
internal static class SignBits
{
    public static long Bytes(long signs) => (signs + 7) / 8;

    /// <summary>Packs the signs of numbers; zero counts as positive.</summary>
    public static void Pack(ReadOnlySpan<double> values, Span<byte> packed)
    {
        packed.Clear();
        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] >= 0)
            {
                packed[i >> 3] |= (byte)(0x80 >> (i & 7));
            }
        }
    }

    /// <summary>Negates the magnitudes whose bit is 0.</summary>
    /// <param name="packed">The bits.</param>
    /// <param name="first">The bit of the first magnitude, from the first bit of <paramref name="packed"/>.</param>
    /// <param name="magnitudes">Changed in place.</param>
    public static void Apply(ReadOnlySpan<byte> packed, long first, Span<float> magnitudes)
    {
        for (int i = 0; i < magnitudes.Length; i++)
        {
            long bit = first + i;
            if ((packed[(int)(bit >> 3)] & (0x80 >> (int)(bit & 7))) == 0)
            {
                magnitudes[i] = -magnitudes[i];
            }
        }
    }
}
