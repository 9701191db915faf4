namespace PipelineDsl.Runtime.Training;

/// <summary>Tokens with what is to be predicted at each.</summary>
/// <param name="Tokens">Ids.</param>
/// <param name="Targets">The id that follows each, or <see cref="Data.Batch.Ignored"/> where nothing is scored.</param>
internal sealed record TokenSequence(int[] Tokens, int[] Targets)
{
    /// <summary>Whether anything is scored.</summary>
    public bool IsScored => Array.Exists(Targets, target => target != Data.Batch.Ignored);

    /// <summary>The first tokens of an example.</summary>
    /// <param name="ids">The whole example.</param>
    /// <param name="firstAnswer">The place of the first token that is to be predicted.</param>
    /// <param name="length">The most tokens that are kept.</param>
    public static TokenSequence Of(ReadOnlySpan<long> ids, int firstAnswer, int length)
    {
        int count = Math.Min(ids.Length, length);
        int[] tokens = new int[count];
        int[] targets = new int[count];
        for (int i = 0; i < count; i++)
        {
            tokens[i] = checked((int)ids[i]);
            targets[i] = i + 1 >= firstAnswer && i + 1 < ids.Length ? checked((int)ids[i + 1]) : (int)Data.Batch.Ignored;
        }

        return new(tokens, targets);
    }

    /// <summary>Puts neighbouring sequences together as long as they fit; none is split, and nothing is predicted across their ends.</summary>
    /// <param name="sequences">The sequences, each at most of the length.</param>
    /// <param name="length">The most tokens together.</param>
    public static List<TokenSequence> Pack(IEnumerable<TokenSequence> sequences, int length)
    {
        var packed = new List<TokenSequence>();
        var open = new List<TokenSequence>();
        int taken = 0;
        foreach (var sequence in sequences)
        {
            if (taken + sequence.Tokens.Length > length)
            {
                packed.Add(Join(open));
                open.Clear();
                taken = 0;
            }

            open.Add(sequence);
            taken += sequence.Tokens.Length;
        }

        if (open.Count > 0)
        {
            packed.Add(Join(open));
        }

        return packed;
    }

    private static TokenSequence Join(List<TokenSequence> parts) => parts.Count == 1
        ? parts[0]
        : new([.. parts.SelectMany(part => part.Tokens)], [.. parts.SelectMany(part => part.Targets)]);
}
