using System.Globalization;
using System.Text;
using System.Text.Json;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>Makes functions of the normaliser, pre-tokenizer and decoder of a <c>tokenizer.json</c>.</summary>
/// <param name="path">The file, for messages.</param>
internal sealed class TextSteps(string path)
{
    /// <summary>The normaliser: what is done to text before it is cut.</summary>
    public Func<string, string> Normalizer(JsonElement? entry)
    {
        if (entry is not { } normalizer)
        {
            return text => text;
        }

        switch (TypeOf(normalizer))
        {
            case "Sequence":
                Func<string, string>[] steps = [.. normalizer.Get("normalizers").EnumerateArray().Select(step => Normalizer(step))];
                return text => steps.Aggregate(text, (current, step) => step(current));
            case "Prepend":
                string start = normalizer.Text("prepend");
                return text => text.Length == 0 ? text : start + text;
            case "Replace":
                return Replace(normalizer);
            case var type:
                throw Unsupported("normalizer", type, "Prepend, Replace, Sequence");
        }
    }

    /// <summary>The pre-tokenizer: cuts text into words.</summary>
    public Func<string, IEnumerable<string>> PreTokenizer(JsonElement? entry)
    {
        if (entry is not { } preTokenizer)
        {
            return text => [text];
        }

        if (TypeOf(preTokenizer) is not "ByteLevel" and var type)
        {
            throw Unsupported("pre_tokenizer", type, "ByteLevel");
        }

        bool addSpace = preTokenizer.Find("add_prefix_space")?.GetBoolean() ?? true;
        bool cut = preTokenizer.Find("use_regex")?.GetBoolean() ?? true;
        return text =>
        {
            string spaced = addSpace && !text.StartsWith(' ') ? " " + text : text;
            return (cut ? ByteLevel.Words(spaced) : [spaced]).Select(ByteLevel.Encode);
        };
    }

    /// <summary>The decoder: makes text of tokens.</summary>
    public Func<IReadOnlyList<string>, string> Decoder(JsonElement? entry)
    {
        if (entry is not { } decoder)
        {
            return tokens => string.Join(' ', tokens);
        }

        var step = DecoderStep(decoder);
        return tokens => string.Concat(step(tokens));
    }

    private Func<IEnumerable<string>, IEnumerable<string>> DecoderStep(JsonElement decoder)
    {
        switch (TypeOf(decoder))
        {
            case "Sequence":
                Func<IEnumerable<string>, IEnumerable<string>>[] steps = [.. decoder.Get("decoders").EnumerateArray().Select(DecoderStep)];
                return tokens => steps.Aggregate(tokens, (current, step) => step(current));
            case "Replace":
                var replace = Replace(decoder);
                return tokens => tokens.Select(replace);
            case "ByteFallback":
                return JoinBytes;
            case "Fuse":
                return tokens => [string.Concat(tokens)];
            case "Strip":
                string content = NotEmpty(decoder.Text("content"), "Strip");
                int start = decoder.Get("start").GetInt32();
                int stop = decoder.Get("stop").GetInt32();
                return tokens => tokens.Select(token => Strip(token, content, start, stop));
            case "ByteLevel":
                return tokens => [ByteLevel.Decode(tokens)];
            case var type:
                throw Unsupported("decoder", type, "ByteFallback, ByteLevel, Fuse, Replace, Sequence, Strip");
        }
    }

    /// <summary>The error for a part that this reader does not know.</summary>
    public PipelineException Unsupported(string part, string? type, string supported) =>
        new(DiagnosticIds.BrokenTokenizer, $"'{path}' needs the {part} '{type}', which is not supported (supported: {supported}); take a model with another tokenizer or tokenise the data beforehand", path);

    /// <summary>The name of a part's type.</summary>
    public static string TypeOf(JsonElement part) => part.Text("type");

    private Func<string, string> Replace(JsonElement step)
    {
        string old = NotEmpty(step.Get("pattern").Find("String")?.GetString() ?? throw Unsupported("pattern", "Regex", "String"), "Replace");
        string replacement = step.Text("content");
        return text => text.Replace(old, replacement, StringComparison.Ordinal);
    }

    private static string NotEmpty(string text, string step) => text.Length > 0 ? text : throw new FormatException($"'{step}' looks for an empty text");

    private static string Strip(string token, string content, int start, int stop)
    {
        for (; start > 0 && token.StartsWith(content, StringComparison.Ordinal); start--)
        {
            token = token[content.Length..];
        }

        for (; stop > 0 && token.EndsWith(content, StringComparison.Ordinal); stop--)
        {
            token = token[..^content.Length];
        }

        return token;
    }

    /// <summary>Joins neighbouring byte tokens into the text they are the UTF-8 of; each byte of a run that is no UTF-8 becomes U+FFFD.</summary>
    private static IEnumerable<string> JoinBytes(IEnumerable<string> tokens)
    {
        var run = new List<byte>();
        foreach (string token in tokens)
        {
            if (ByteOf(token) is { } value)
            {
                run.Add(value);
                continue;
            }

            yield return TextOf(run);
            yield return token;
            run.Clear();
        }

        yield return TextOf(run);
    }

    private static string TextOf(List<byte> run)
    {
        byte[] bytes = [.. run];
        return System.Text.Unicode.Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : new string('\uFFFD', bytes.Length);
    }

    private static byte? ByteOf(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) ? value : null;
}
