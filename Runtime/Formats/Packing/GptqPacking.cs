namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>The words of a GPTQ checkpoint: weights packed along inputs, zero points along outputs, as one unbroken stream of bits.</summary>
/// <remarks>
/// W[o, i] = scales[g_idx[i], o] · (code[o, i] − zero[g_idx[i], o]). Buffers here are row-major with outputs first, as weights are everywhere else
/// (codes [outputs, inputs], zero points [outputs, groups]); the files have it the other way round. With 2, 4 and 8 bits codes never cross words; with 3 bits, 32 codes take 3 words.
/// </remarks>
internal static class GptqPacking
{
    /// <summary>Whether the layout has a word for so many bits.</summary>
    public static bool Has(int bits) => bits is 2 or 3 or 4 or 8;

    /// <summary>Packs weights.</summary>
    /// <param name="codes">Unsigned codes [outputs, inputs].</param>
    /// <param name="outputs">Rows.</param>
    /// <param name="inputs">Columns; inputs · bits must fill whole words.</param>
    /// <param name="bits">2, 3, 4 or 8.</param>
    /// <returns><c>qweight</c> [inputs · bits / 32, outputs].</returns>
    /// <exception cref="ArgumentException">Sizes, bits or codes do not fit the layout.</exception>
    public static int[] PackWeights(ReadOnlySpan<byte> codes, int outputs, int inputs, int bits)
    {
        int words = Words(inputs, bits, nameof(inputs));
        WordStream.RequireLength(codes.Length, outputs, inputs, nameof(codes));
        WordStream.RequireCodes(codes, bits);
        int[] packed = new int[checked(words * outputs)];
        for (int output = 0; output < outputs; output++)
        {
            WordStream.Pack(codes.Slice(output * inputs, inputs), 1, inputs, packed.AsSpan(output), outputs, bits, perWord: null);
        }

        return packed;
    }

    /// <summary>Unpacks <c>qweight</c> into codes [outputs, inputs]; parameters as for <see cref="PackWeights"/>.</summary>
    /// <exception cref="ArgumentException">Sizes or bits do not fit the layout.</exception>
    public static byte[] UnpackWeights(ReadOnlySpan<int> words, int outputs, int inputs, int bits)
    {
        WordStream.RequireLength(words.Length, Words(inputs, bits, nameof(inputs)), outputs, nameof(words));
        byte[] codes = new byte[checked(outputs * inputs)];
        for (int output = 0; output < outputs; output++)
        {
            WordStream.Unpack(words[output..], outputs, codes.AsSpan(output * inputs, inputs), 1, inputs, bits, perWord: null);
        }

        return codes;
    }

    /// <summary>Packs zero points.</summary>
    /// <param name="zeros">Zero points [outputs, groups].</param>
    /// <param name="outputs">Rows; outputs · bits must fill whole words.</param>
    /// <param name="groups">Columns.</param>
    /// <param name="bits">2, 3, 4 or 8.</param>
    /// <param name="version">What is stored.</param>
    /// <returns><c>qzeros</c> [groups, outputs · bits / 32].</returns>
    /// <exception cref="ArgumentException">
    /// Sizes, bits or zero points do not fit the layout; a zero point of 0 in <see cref="GptqVersion.V1"/> would be −1, which smears into its neighbours and which readers take for 0 or for 2^bits.
    /// </exception>
    public static int[] PackZeros(ReadOnlySpan<byte> zeros, int outputs, int groups, int bits, GptqVersion version)
    {
        int words = Words(outputs, bits, nameof(outputs));
        WordStream.RequireLength(zeros.Length, outputs, groups, nameof(zeros));
        WordStream.RequireCodes(zeros, bits);
        byte[] stored = zeros.ToArray();
        if (version == GptqVersion.V1)
        {
            int place = zeros.IndexOf((byte)0);
            if (place >= 0)
            {
                throw new ArgumentException($"the zero point at {place} is 0, which version 1 of the layout cannot store; write version 2", nameof(zeros));
            }

            foreach (ref byte zero in stored.AsSpan())
            {
                zero--;
            }
        }

        int[] packed = new int[checked(groups * words)];
        for (int group = 0; group < groups; group++)
        {
            WordStream.Pack(stored.AsSpan(group), groups, outputs, packed.AsSpan(group * words, words), 1, bits, perWord: null);
        }

        return packed;
    }

    /// <summary>Unpacks <c>qzeros</c> into zero points [outputs, groups]; parameters as for <see cref="PackZeros"/>.</summary>
    /// <remarks>In <see cref="GptqVersion.V1"/> the sum with one wraps inside the code's bits, as readers that mask it have it: all ones are a zero point of 0.</remarks>
    /// <exception cref="ArgumentException">Sizes or bits do not fit the layout.</exception>
    public static byte[] UnpackZeros(ReadOnlySpan<int> words, int outputs, int groups, int bits, GptqVersion version)
    {
        int row = Words(outputs, bits, nameof(outputs));
        WordStream.RequireLength(words.Length, groups, row, nameof(words));
        byte[] zeros = new byte[checked(outputs * groups)];
        for (int group = 0; group < groups; group++)
        {
            WordStream.Unpack(words.Slice(group * row, row), 1, zeros.AsSpan(group), groups, outputs, bits, perWord: null);
        }

        if (version == GptqVersion.V1)
        {
            byte mask = (byte)((1 << bits) - 1);
            foreach (ref byte zero in zeros.AsSpan())
            {
                zero = (byte)((zero + 1) & mask);
            }
        }

        return zeros;
    }

    private static int Words(int codes, int bits, string side) =>
        !Has(bits) ? throw new ArgumentException($"{bits} bits a code; the layout has 2, 3, 4 and 8", nameof(bits))
        : codes < 1 || (long)codes * bits % 32 != 0 ? throw new ArgumentException($"{codes} {side} of {bits} bits do not fill whole words", side)
        : (int)((long)codes * bits / 32);
}
