using System.Text.RegularExpressions;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>Cuts text at added tokens: the leftmost match counts, and of those the longest.</summary>
internal sealed class AddedTokenFinder
{
    private readonly Dictionary<string, AddedToken> tokens;
    private readonly Regex? pattern;

    /// <summary>Finds tokens by their text.</summary>
    /// <param name="tokens">The tokens by the text to search for.</param>
    public AddedTokenFinder(IEnumerable<KeyValuePair<string, AddedToken>> tokens)
    {
        this.tokens = tokens.Where(entry => entry.Key.Length > 0).DistinctBy(entry => entry.Key).ToDictionary(StringComparer.Ordinal);
        if (this.tokens.Count > 0)
        {
            var longestFirst = this.tokens.Keys.OrderByDescending(text => text.Length).Select(Regex.Escape);
            pattern = new Regex(string.Join('|', longestFirst), RegexOptions.CultureInvariant);
        }
    }

    /// <summary>The pieces in order: text between tokens (id null, never empty), or a token's id.</summary>
    public IEnumerable<(string Text, int? Id)> Split(string text)
    {
        int done = 0;
        foreach (var (start, end, id) in Matches(text))
        {
            if (start > done)
            {
                yield return (text[done..start], null);
            }

            yield return ("", id);
            done = end;
        }

        if (done < text.Length)
        {
            yield return (text[done..], null);
        }
    }

    private IEnumerable<(int Start, int End, int Id)> Matches(string text)
    {
        int done = 0;
        for (var match = pattern?.Match(text); match is { Success: true }; match = match.NextMatch())
        {
            var token = tokens[match.Value];
            int start = match.Index;
            int end = start + match.Length;
            if (start < done || (token.SingleWord && (TouchesWord(text, start - 1) || TouchesWord(text, end))))
            {
                continue;
            }

            while (token.StripsLeft && start > done && char.IsWhiteSpace(text[start - 1]))
            {
                start--;
            }

            while (token.StripsRight && end < text.Length && char.IsWhiteSpace(text[end]))
            {
                end++;
            }

            yield return (start, end, token.Id);
            done = end;
        }
    }

    private static bool TouchesWord(string text, int position) =>
        position >= 0 && position < text.Length && (char.IsLetterOrDigit(text[position]) || text[position] == '_');
}
