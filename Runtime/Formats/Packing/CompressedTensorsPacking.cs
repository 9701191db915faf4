namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>The words of compressed-tensors' <c>pack-quantized</c>: signed codes raised by 2^(bits − 1), floor(32 / bits) of them a word, the rest of a word empty.</summary>
/// <remarks>
/// Weights are packed along inputs, zero points along outputs. With 3, 5, 6 and 7 bits newer releases of the library let codes cross words instead; both agree for 2, 4 and 8 bits.
/// </remarks>
internal static class CompressedTensorsPacking
{
    /// <summary>The words that a run of codes takes.</summary>
    public static int Words(int codes, int bits) => (codes - 1) / (32 / bits) + 1;

    /// <summary>Packs weights.</summary>
    /// <param name="codes">Signed codes [outputs, inputs].</param>
    /// <param name="outputs">Rows.</param>
    /// <param name="inputs">Columns; a row that does not fill its last word is followed by zeros.</param>
    /// <param name="bits">1 to 8.</param>
    /// <returns><c>weight_packed</c> [outputs, words].</returns>
    /// <exception cref="ArgumentException">Sizes, bits or codes do not fit the layout.</exception>
    public static int[] PackWeights(ReadOnlySpan<sbyte> codes, int outputs, int inputs, int bits)
    {
        byte[] raised = Raise(codes, outputs, inputs, bits);
        int words = Words(inputs, bits);
        int[] packed = new int[checked(outputs * words)];
        for (int output = 0; output < outputs; output++)
        {
            WordStream.Pack(raised.AsSpan(output * inputs, inputs), 1, inputs, packed.AsSpan(output * words, words), 1, bits, 32 / bits);
        }

        return packed;
    }

    /// <summary>Unpacks <c>weight_packed</c> into signed codes [outputs, inputs]; parameters as for <see cref="PackWeights"/>.</summary>
    /// <exception cref="ArgumentException">Sizes or bits do not fit the layout.</exception>
    public static sbyte[] UnpackWeights(ReadOnlySpan<int> words, int outputs, int inputs, int bits)
    {
        RequireShape(outputs, inputs, bits);
        int row = Words(inputs, bits);
        WordStream.RequireLength(words.Length, outputs, row, nameof(words));
        byte[] raised = new byte[checked(outputs * inputs)];
        for (int output = 0; output < outputs; output++)
        {
            WordStream.Unpack(words.Slice(output * row, row), 1, raised.AsSpan(output * inputs, inputs), 1, inputs, bits, 32 / bits);
        }

        return Lower(raised, bits);
    }

    /// <summary>Packs zero points.</summary>
    /// <param name="zeros">Signed zero points [outputs, groups].</param>
    /// <param name="outputs">Rows.</param>
    /// <param name="groups">Columns.</param>
    /// <param name="bits">1 to 8.</param>
    /// <returns><c>weight_zero_point</c> [words, groups].</returns>
    /// <exception cref="ArgumentException">Sizes, bits or zero points do not fit the layout.</exception>
    public static int[] PackZeros(ReadOnlySpan<sbyte> zeros, int outputs, int groups, int bits)
    {
        byte[] raised = Raise(zeros, outputs, groups, bits);
        int[] packed = new int[checked(Words(outputs, bits) * groups)];
        for (int group = 0; group < groups; group++)
        {
            WordStream.Pack(raised.AsSpan(group), groups, outputs, packed.AsSpan(group), groups, bits, 32 / bits);
        }

        return packed;
    }

    /// <summary>Unpacks <c>weight_zero_point</c> into signed zero points [outputs, groups]; parameters as for <see cref="PackZeros"/>.</summary>
    /// <exception cref="ArgumentException">Sizes or bits do not fit the layout.</exception>
    public static sbyte[] UnpackZeros(ReadOnlySpan<int> words, int outputs, int groups, int bits)
    {
        RequireShape(outputs, groups, bits);
        WordStream.RequireLength(words.Length, Words(outputs, bits), groups, nameof(words));
        byte[] raised = new byte[checked(outputs * groups)];
        for (int group = 0; group < groups; group++)
        {
            WordStream.Unpack(words[group..], groups, raised.AsSpan(group), groups, outputs, bits, 32 / bits);
        }

        return Lower(raised, bits);
    }

    private static void RequireShape(int rows, int columns, int bits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 8);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
    }

    private static byte[] Raise(ReadOnlySpan<sbyte> codes, int rows, int columns, int bits)
    {
        RequireShape(rows, columns, bits);
        WordStream.RequireLength(codes.Length, rows, columns, nameof(codes));
        int offset = 1 << (bits - 1);
        byte[] raised = new byte[codes.Length];
        for (int i = 0; i < codes.Length; i++)
        {
            int code = codes[i] + offset;
            raised[i] = code >= 0 && code < 2 * offset ? (byte)code : throw new ArgumentException($"code {codes[i]} at {i} does not fit {bits} bits", nameof(codes));
        }

        return raised;
    }

    private static sbyte[] Lower(byte[] raised, int bits) => Array.ConvertAll(raised, code => (sbyte)(code - (1 << (bits - 1))));
}
