using System.Text;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>Byte-pair encoding: starts from single characters and joins the neighbours of lowest rank, in O(n log n).</summary>
internal sealed class BytePairEncoder
{
    private readonly Dictionary<string, int> vocabulary;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> characters;

    /// <summary>Encodes with a vocabulary.</summary>
    /// <param name="vocabulary">The ids of tokens.</param>
    public BytePairEncoder(Dictionary<string, int> vocabulary)
    {
        this.vocabulary = vocabulary;
        characters = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>Rank and result of joining a left with a right neighbour.</summary>
    public required IReadOnlyDictionary<(int Left, int Right), (int Rank, int Id)> Merges { get; init; }

    /// <summary>The id of each byte's token <c>&lt;0x00&gt;</c>, used for characters outside the vocabulary; null without byte fallback.</summary>
    public int[]? ByteIds { get; init; }

    /// <summary>The id for what the vocabulary cannot express; null drops it.</summary>
    public int? UnknownId { get; init; }

    /// <summary>Whether neighbouring unknown characters become one token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>Whether a word that is itself a token stays whole whatever the merges say.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>Appends the ids of a word.</summary>
    public void Encode(string word, List<long> ids)
    {
        if (IgnoreMerges && vocabulary.TryGetValue(word, out int whole))
        {
            ids.Add(whole);
            return;
        }

        var symbols = new Symbols(Characters(word));
        Join(symbols);
        ids.AddRange(symbols.Remaining());
    }

    private List<int> Characters(string word)
    {
        var ids = new List<int>(word.Length);
        Span<char> character = stackalloc char[2];
        bool afterUnknown = false;
        foreach (var rune in word.EnumerateRunes())
        {
            bool unknown = false;
            if (characters.TryGetValue(character[..rune.EncodeToUtf16(character)], out int id))
            {
                ids.Add(id);
            }
            else if (ByteIds is not null)
            {
                AddBytes(rune, ByteIds, ids);
            }
            else if (UnknownId is { } unknownId)
            {
                unknown = true;
                if (!(FuseUnknown && afterUnknown))
                {
                    ids.Add(unknownId);
                }
            }

            afterUnknown = unknown;
        }

        return ids;
    }

    private static void AddBytes(Rune rune, int[] byteIds, List<int> ids)
    {
        Span<byte> bytes = stackalloc byte[4];
        foreach (byte value in bytes[..rune.EncodeToUtf8(bytes)])
        {
            ids.Add(byteIds[value]);
        }
    }

    private void Join(Symbols symbols)
    {
        var queue = new PriorityQueue<(int Position, int Result), long>();
        for (int position = 0; position + 1 < symbols.Count; position++)
        {
            Propose(symbols, queue, position);
        }

        while (queue.TryDequeue(out var proposal, out _))
        {
            var (position, result) = proposal;
            if (!Find(symbols, position, out var merge) || merge.Id != result)
            {
                continue; // One of the two was joined with another neighbour meanwhile.
            }

            symbols.JoinWithNext(position, result);
            Propose(symbols, queue, position);
            if (symbols.Before(position) is >= 0 and int before)
            {
                Propose(symbols, queue, before);
            }
        }
    }

    private void Propose(Symbols symbols, PriorityQueue<(int Position, int Result), long> queue, int position)
    {
        if (Find(symbols, position, out var merge))
        {
            // Equal ranks go from left to right.
            queue.Enqueue((position, merge.Id), ((long)merge.Rank << 32) | (uint)position);
        }
    }

    private bool Find(Symbols symbols, int position, out (int Rank, int Id) merge)
    {
        merge = default;
        return symbols.PairAt(position) is { } pair && Merges.TryGetValue(pair, out merge);
    }

    /// <summary>A linked list of ids; a joined symbol keeps the position of its left part.</summary>
    private sealed class Symbols
    {
        private const int Gone = -1;

        private readonly List<int> ids;
        private readonly int[] before;
        private readonly int[] after;

        public Symbols(List<int> ids)
        {
            this.ids = ids;
            before = [.. Enumerable.Range(-1, ids.Count)];
            after = [.. Enumerable.Range(1, ids.Count)];
        }

        public int Count => ids.Count;

        public int Before(int position) => before[position];

        public (int Left, int Right)? PairAt(int position) =>
            ids[position] != Gone && after[position] < Count ? (ids[position], ids[after[position]]) : null;

        public void JoinWithNext(int position, int id)
        {
            int next = after[position];
            ids[position] = id;
            ids[next] = Gone;
            after[position] = after[next];
            if (after[position] < Count)
            {
                before[after[position]] = position;
            }
        }

        public IEnumerable<long> Remaining() => ids.Where(id => id != Gone).Select(id => (long)id);
    }
}
