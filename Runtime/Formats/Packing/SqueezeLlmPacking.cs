namespace PipelineDsl.Runtime.Formats.Packing;

/// <summary>The words of a SqueezeLLM checkpoint: codes in the stream of GPTQ (<c>qweight</c>), and where the threads of a balanced sparse kernel start (<c>startrows</c>).</summary>
/// <remarks>Its other tensors need no packing: <c>lookup_table</c> float32 [outputs, 2^bits]; <c>rows</c>, <c>cols</c> and <c>vals</c> of a CSR matrix.</remarks>
internal static class SqueezeLlmPacking
{
    /// <summary>Inputs come in runs of so many.</summary>
    private const int Run = 32;

    private const int ThreadBlock = 128;

    /// <summary>Inputs after padding: the checkpoint's layers have no other widths.</summary>
    public static int PaddedInputs(int inputs) => (inputs + Run - 1) / Run * Run;

    /// <summary>Packs codes.</summary>
    /// <param name="codes">[outputs, inputs].</param>
    /// <param name="outputs">Rows.</param>
    /// <param name="inputs">Columns; padded with codes of 0 to a multiple of 32, to which the reader must add inputs of 0.</param>
    /// <param name="bits">2, 3, 4 or 8.</param>
    /// <returns><c>qweight</c> [padded inputs · bits / 32, outputs].</returns>
    /// <exception cref="ArgumentException">Sizes, bits or codes do not fit the layout.</exception>
    public static int[] Pack(ReadOnlySpan<byte> codes, int outputs, int inputs, int bits)
    {
        WordStream.RequireLength(codes.Length, outputs, inputs, nameof(codes));
        int padded = PaddedInputs(inputs);
        byte[] wide = new byte[checked(outputs * padded)];
        for (int output = 0; output < outputs; output++)
        {
            codes.Slice(output * inputs, inputs).CopyTo(wide.AsSpan(output * padded));
        }

        return GptqPacking.PackWeights(wide, outputs, padded, bits);
    }

    /// <summary>Unpacks <c>qweight</c> into codes [outputs, inputs]; parameters as for <see cref="Pack"/>.</summary>
    /// <exception cref="ArgumentException">Sizes or bits do not fit the layout.</exception>
    public static byte[] Unpack(ReadOnlySpan<int> words, int outputs, int inputs, int bits)
    {
        int padded = PaddedInputs(inputs);
        byte[] wide = GptqPacking.UnpackWeights(words, outputs, padded, bits);
        byte[] codes = new byte[outputs * inputs];
        for (int output = 0; output < outputs; output++)
        {
            wide.AsSpan(output * padded, inputs).CopyTo(codes.AsSpan(output * inputs));
        }

        return codes;
    }

    /// <summary>The row in which each thread of the balanced kernel starts: the last one that begins before the thread's first entry (0 for the first thread), −1 for threads without entries.</summary>
    /// <param name="offsets">Where each row's entries start, and at the end their number.</param>
    /// <param name="perThread">Entries a thread, at least 1; fewer where threads are rounded up to whole blocks of 128.</param>
    public static int[] StartRows(ReadOnlySpan<int> offsets, int perThread)
    {
        int entries = offsets[^1];
        if (entries == 0)
        {
            return [];
        }

        int threads = (((entries - 1) / perThread) + ThreadBlock) / ThreadBlock * ThreadBlock;
        int share = ((entries - 1) / threads) + 1;
        int[] starts = new int[threads];
        int row = 0;
        for (int thread = 0; thread < threads; thread++)
        {
            long first = (long)share * thread;
            while (row + 1 < offsets.Length && offsets[row + 1] < first)
            {
                row++;
            }

            starts[thread] = first < entries ? row : -1;
        }

        return starts;
    }
}
