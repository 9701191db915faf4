using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>Turns text into the token ids of a model and back, as the model's <c>tokenizer.json</c> says; safe to use from several threads.</summary>
public sealed class Tokenizer
{
    private readonly TokenizerParts parts;
    private readonly Dictionary<long, string> texts;
    private readonly HashSet<long> specialIds;
    private readonly AddedTokenFinder rawTokens;
    private readonly AddedTokenFinder normalizedTokens;

    internal Tokenizer(string path, TokenizerParts parts)
    {
        Path = path;
        this.parts = parts;
        texts = parts.Vocabulary.ToDictionary(entry => (long)entry.Value, entry => entry.Key);
        foreach (var token in parts.AddedTokens)
        {
            texts[token.Id] = token.Content;
        }

        specialIds = [.. parts.AddedTokens.Where(token => token.IsSpecial).Select(token => (long)token.Id)];
        rawTokens = new(parts.AddedTokens.Where(token => !token.IsNormalized).Select(token => KeyValuePair.Create(token.Content, token)));
        normalizedTokens = new(parts.AddedTokens.Where(token => token.IsNormalized).Select(token => KeyValuePair.Create(parts.Normalize(token.Content), token)));
        VocabularySize = (int)texts.Keys.Max() + 1;
    }

    /// <summary>The file that the tokenizer was read from.</summary>
    public string Path { get; }

    /// <summary>One above the largest id: the rows that an embedding must have at least.</summary>
    public int VocabularySize { get; }

    /// <summary>The id that a document starts with: what the tokenizer prepends, or else what the configuration beside it names; null when there is none.</summary>
    public long? BeginId { get; internal init; }

    /// <summary>The id that a document ends with, as the configuration beside the tokenizer names it; null when there is none.</summary>
    public long? EndId { get; internal init; }

    /// <summary>Reads a <c>tokenizer.json</c> with byte-pair encoding, SentencePiece-like or byte-level.</summary>
    /// <exception cref="PipelineException">PDSL1015: it is not there. PDSL3012: it cannot be read. PDSL3004: it is damaged, or needs a feature that is not supported; the message names it.</exception>
    public static Tokenizer Open(string path) => TokenizerReader.Read(path);

    /// <summary>The ids of a text.</summary>
    /// <param name="text">The text; special tokens in it are recognised.</param>
    /// <param name="addSpecialTokens">Whether to add what the tokenizer puts around a document.</param>
    public long[] Encode(string text, bool addSpecialTokens = true)
    {
        var ids = new List<long>(text.Length / 2);
        ids.AddRange(addSpecialTokens ? parts.Prefix : []);
        foreach (var (piece, id) in rawTokens.Split(text))
        {
            Append(ids, piece, id);
        }

        ids.AddRange(addSpecialTokens ? parts.Suffix : []);
        return [.. ids];
    }

    /// <summary>The text of ids.</summary>
    /// <param name="ids">Ids below <see cref="VocabularySize"/>.</param>
    /// <param name="skipSpecialTokens">Whether to leave out begin, end and their like.</param>
    /// <exception cref="PipelineException">PDSL3004: an id that the vocabulary does not have.</exception>
    public string Decode(IEnumerable<long> ids, bool skipSpecialTokens = true) =>
        parts.Decode([.. ids.Where(id => !(skipSpecialTokens && specialIds.Contains(id))).Select(TextOf)]);

    private string TextOf(long id) => texts.GetValueOrDefault(id)
        ?? throw new PipelineException(DiagnosticIds.BrokenTokenizer, $"'{Path}' has no token with id {id}; take the tokenizer that belongs to the model", Path);

    private void Append(List<long> ids, string piece, int? id)
    {
        if (id is { } raw)
        {
            ids.Add(raw);
            return;
        }

        foreach (var (text, normalized) in normalizedTokens.Split(parts.Normalize(piece)))
        {
            if (normalized is { } token)
            {
                ids.Add(token);
                continue;
            }

            foreach (string word in parts.Words(text))
            {
                parts.Model.Encode(word, ids);
            }
        }
    }
}
