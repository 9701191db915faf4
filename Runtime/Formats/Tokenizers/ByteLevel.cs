using System.Text;
using System.Text.RegularExpressions;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>GPT-2's way to make every byte a visible character, and to cut text into words.</summary>
internal static partial class ByteLevel
{
    private static readonly char[] CharOfByte = Alphabet();
    private static readonly Dictionary<char, byte> ByteOfChar = CharOfByte.Select((symbol, value) => (symbol, (byte)value)).ToDictionary();

    /// <summary>Cuts text into words.</summary>
    public static IEnumerable<string> Words(string text) =>
        WordPattern().Matches(Classes(text)).Select(match => text.Substring(match.Index, match.Length));

    /// <summary>The UTF-8 bytes of text, each as its character.</summary>
    public static string Encode(string text) => string.Create(Encoding.UTF8.GetByteCount(text), text, static (symbols, text) =>
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        for (int i = 0; i < bytes.Length; i++)
        {
            symbols[i] = CharOfByte[bytes[i]];
        }
    });

    /// <summary>The text whose bytes the tokens' characters stand for; bytes that are no UTF-8 become U+FFFD.</summary>
    public static string Decode(IEnumerable<string> tokens)
    {
        var bytes = new List<byte>();
        foreach (string token in tokens)
        {
            bytes.AddRange(token.All(ByteOfChar.ContainsKey) ? token.Select(symbol => ByteOfChar[symbol]) : Encoding.UTF8.GetBytes(token));
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", RegexOptions.CultureInvariant)]
    private static partial Regex WordPattern();

    /// <summary>Bytes that are visible in Latin-1 stand for themselves, the others for characters from U+0100 up.</summary>
    private static char[] Alphabet()
    {
        char next = '\u0100';
        return [.. Enumerable.Range(0, 256).Select(value => value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)value : next++)];
    }

    /// <summary>The same text with surrogate pairs, which regular expressions take for two unknown characters, replaced by two of their class.</summary>
    private static string Classes(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
        {
            return text;
        }

        var classes = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            string shown = rune.Utf16SequenceLength == 1 ? rune.ToString() : Rune.IsLetter(rune) ? "xx" : Rune.IsNumber(rune) ? "11" : "!!";
            classes.Append(shown);
        }

        return classes.ToString();
    }
}
