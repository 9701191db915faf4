namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>The words of AWQ's <c>gemm</c> layout: 4-bit codes packed along outputs in the order 0, 2, 4, 6, 1, 3, 5, 7; zero points as they are.</summary>
internal static class AwqPacking
{
    private const int Bits = 4;
    private const int PerWord = 8;

    /// <summary>Which of eight neighbours the nibbles of a word hold, from the lowest up.</summary>
    private static ReadOnlySpan<byte> Order => [0, 2, 4, 6, 1, 3, 5, 7];

    /// <summary>Packs weights or zero points.</summary>
    /// <param name="codes">Unsigned codes [outputs, columns]; columns are inputs or groups.</param>
    /// <param name="outputs">Rows, a multiple of 8.</param>
    /// <param name="columns">Columns.</param>
    /// <returns><c>qweight</c> or <c>qzeros</c> [columns, outputs / 8].</returns>
    /// <exception cref="ArgumentException">Sizes or codes do not fit the layout.</exception>
    public static int[] Pack(ReadOnlySpan<byte> codes, int outputs, int columns)
    {
        int words = Words(outputs);
        WordStream.RequireLength(codes.Length, outputs, columns, nameof(codes));
        WordStream.RequireCodes(codes, Bits);
        int[] packed = new int[checked(columns * words)];
        for (int i = 0; i < packed.Length; i++)
        {
            var (column, word) = Math.DivRem(i, words);
            for (int nibble = 0; nibble < PerWord; nibble++)
            {
                packed[i] |= codes[(word * PerWord + Order[nibble]) * columns + column] << (Bits * nibble);
            }
        }

        return packed;
    }

    /// <summary>Unpacks <c>qweight</c> or <c>qzeros</c> into codes [outputs, columns]; parameters as for <see cref="Pack"/>.</summary>
    /// <exception cref="ArgumentException">Sizes do not fit the layout.</exception>
    public static byte[] Unpack(ReadOnlySpan<int> packed, int outputs, int columns)
    {
        int words = Words(outputs);
        WordStream.RequireLength(packed.Length, columns, words, nameof(packed));
        byte[] codes = new byte[checked(outputs * columns)];
        for (int i = 0; i < packed.Length; i++)
        {
            var (column, word) = Math.DivRem(i, words);
            for (int nibble = 0; nibble < PerWord; nibble++)
            {
                codes[(word * PerWord + Order[nibble]) * columns + column] = (byte)((packed[i] >> (Bits * nibble)) & 0xF);
            }
        }

        return codes;
    }

    private static int Words(int outputs) => outputs > 0 && outputs % PerWord == 0 ? outputs / PerWord
        : throw new ArgumentException($"{outputs} outputs do not fill whole words of {PerWord}", nameof(outputs));
}
