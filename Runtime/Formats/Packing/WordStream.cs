namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>Unsigned codes in 32-bit words, low bits first.</summary>
/// <remarks>Both sides may lie in memory with a step, so that rows are packed into columns without a transposed copy.</remarks>
internal static class WordStream
{
    /// <summary>Packs a run of codes.</summary>
    /// <param name="codes">The codes, one every <paramref name="codeStep"/> bytes.</param>
    /// <param name="codeStep">The distance of neighbours.</param>
    /// <param name="count">How many codes.</param>
    /// <param name="words">Words of zeros, one every <paramref name="wordStep"/>; the last one keeps zeros where codes end.</param>
    /// <param name="wordStep">The distance of neighbours.</param>
    /// <param name="bits">Bits a code.</param>
    /// <param name="perWord">Codes a word; null lets codes cross from one word into the next, so that no bit stays empty.</param>
    public static void Pack(ReadOnlySpan<byte> codes, int codeStep, int count, Span<int> words, int wordStep, int bits, int? perWord)
    {
        for (int i = 0; i < count; i++)
        {
            var (word, shift) = Place(i, bits, perWord);
            uint code = codes[i * codeStep];
            words[word * wordStep] |= (int)(code << shift);
            if (shift + bits > 32)
            {
                words[(word + 1) * wordStep] |= (int)(code >> (32 - shift));
            }
        }
    }

    /// <summary>Takes a run of codes out of its words; parameters as for <see cref="Pack"/>.</summary>
    public static void Unpack(ReadOnlySpan<int> words, int wordStep, Span<byte> codes, int codeStep, int count, int bits, int? perWord)
    {
        uint mask = (1u << bits) - 1;
        for (int i = 0; i < count; i++)
        {
            var (word, shift) = Place(i, bits, perWord);
            uint code = (uint)words[word * wordStep] >> shift;
            if (shift + bits > 32)
            {
                code |= (uint)words[(word + 1) * wordStep] << (32 - shift);
            }

            codes[i * codeStep] = (byte)(code & mask);
        }
    }

    /// <summary>Refuses what would spill into a neighbour's bits.</summary>
    /// <exception cref="ArgumentException">A code does not fit.</exception>
    public static void RequireCodes(ReadOnlySpan<byte> codes, int bits)
    {
        int place = bits == 8 ? -1 : codes.IndexOfAnyExceptInRange((byte)0, (byte)((1 << bits) - 1));
        if (place >= 0)
        {
            throw new ArgumentException($"code {codes[place]} at {place} does not fit {bits} bits", nameof(codes));
        }
    }

    /// <summary>Refuses a buffer of another size than its shape says.</summary>
    /// <exception cref="ArgumentException">The length is another.</exception>
    public static void RequireLength(int found, long first, long second, string what)
    {
        if (found != first * second)
        {
            throw new ArgumentException($"{found} {what} where {first} × {second} are needed", what);
        }
    }

    private static (int Word, int Shift) Place(int index, int bits, int? perWord)
    {
        if (perWord is { } full)
        {
            return (index / full, index % full * bits);
        }

        long bit = (long)index * bits;
        return ((int)(bit / 32), (int)(bit % 32));
    }
}
