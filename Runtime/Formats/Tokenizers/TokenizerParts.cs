namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>What a <c>tokenizer.json</c> is made of.</summary>
internal sealed record TokenizerParts
{
    public required Dictionary<string, int> Vocabulary { get; init; }

    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>Rewrites text before it is cut into words.</summary>
    public required Func<string, string> Normalize { get; init; }

    /// <summary>Cuts normalised text into what merges do not cross.</summary>
    public required Func<string, IEnumerable<string>> Words { get; init; }

    public required BytePairEncoder Model { get; init; }

    /// <summary>The text of tokens.</summary>
    public required Func<IReadOnlyList<string>, string> Decode { get; init; }

    /// <summary>What stands before a document.</summary>
    public required IReadOnlyList<long> Prefix { get; init; }

    /// <summary>What stands after a document.</summary>
    public required IReadOnlyList<long> Suffix { get; init; }
}
