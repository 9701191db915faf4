using System.Text.Json;
using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Formats.Tokenizers;

namespace PipelineDsl.Runtime.Export;

/// <summary>A <c>tokenizer.json</c> of byte-pair encoding as the values of a GGUF header.</summary>
internal sealed partial class GgufVocabulary
{
    private const int Normal = 1;
    private const int Unknown = 2;
    private const int Control = 3;
    private const int UserDefined = 4;
    private const int Unused = 5;
    private const int Byte = 6;

    private readonly string path;
    private readonly JsonElement root;
    private readonly JsonElement model;
    private readonly string[] tokens;
    private readonly int[] types;
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);

    private GgufVocabulary(string path, JsonElement root, int size)
    {
        this.path = path;
        this.root = root;
        model = root.Get("model");
        tokens = [.. Enumerable.Range(0, size).Select(id => $"[PAD{id}]")];
        types = [.. Enumerable.Repeat(Unused, size)];
    }

    /// <summary>The values for a tokenizer.</summary>
    /// <param name="path">The <c>tokenizer.json</c>.</param>
    /// <param name="size">Rows of the table of embeddings; ids without a token are filled up.</param>
    /// <param name="problem">Why there are none: a kind of tokenizer that has no plain counterpart, or a damaged file.</param>
    public static IReadOnlyList<KeyValuePair<string, GgufValue>> Read(string path, int size, out string? problem)
    {
        try
        {
            problem = null;
            return StrictJson.Read(path, DiagnosticIds.BrokenTokenizer, "a tokenizer", root => new GgufVocabulary(path, root, size).Values());
        }
        catch (PipelineException failure)
        {
            problem = failure.Message;
            return [];
        }
    }

    private List<KeyValuePair<string, GgufValue>> Values()
    {
        if (model.Text("type") != "BPE")
        {
            throw Refusal($"its model is '{model.Text("type")}', not 'BPE'");
        }

        bool isSentencePiece = model.Find("byte_fallback") is { ValueKind: JsonValueKind.True };
        if (!isSentencePiece && !IsPlainByteLevel(root.Find("pre_tokenizer")))
        {
            throw Refusal("it cuts text in a way that has no name here");
        }

        FillTokens(isSentencePiece);
        return [.. isSentencePiece ? SentencePiece() : ByteLevel(), .. Marks()];
    }

    private void FillTokens(bool isSentencePiece)
    {
        string? unknown = model.Find("unk_token")?.Text();
        foreach (var entry in model.Get("vocab").EnumerateObject())
        {
            bool isByte = isSentencePiece && ByteToken().IsMatch(entry.Name);
            Place(entry.Value.GetInt32(), entry.Name, entry.Name == unknown ? Unknown : isByte ? Byte : Normal);
        }

        foreach (var added in root.Find("added_tokens")?.EnumerateArray() ?? default)
        {
            string content = added.Text("content");
            bool isSpecial = added.Find("special") is { ValueKind: JsonValueKind.True };
            Place(added.Get("id").GetInt32(), content, content == unknown ? Unknown : isSpecial ? Control : UserDefined);
        }
    }

    private void Place(int id, string token, int type)
    {
        if (id < 0 || id >= tokens.Length)
        {
            throw Refusal($"token '{token}' has the id {id} and the model has {tokens.Length} embeddings");
        }

        tokens[id] = token;
        types[id] = type;
        ids[token] = id;
    }

    /// <summary>SentencePiece joins the pair whose result scores highest: the earlier a merge, the higher; what no merge makes comes last.</summary>
    private IEnumerable<KeyValuePair<string, GgufValue>> SentencePiece()
    {
        var merges = Merges().ToList();
        float[] scores = [.. Enumerable.Repeat(-1f - merges.Count, tokens.Length)];
        int rank = 0;
        var ranked = new HashSet<int>();
        foreach (var (left, right) in merges)
        {
            rank++;
            if (ids.TryGetValue(left + right, out int id) && ranked.Add(id))
            {
                scores[id] = -rank;
            }
        }

        yield return new("tokenizer.ggml.model", "llama");
        yield return new("tokenizer.ggml.tokens", tokens);
        yield return new("tokenizer.ggml.scores", scores);
        yield return new("tokenizer.ggml.token_type", types);
        yield return new("tokenizer.ggml.add_space_prefix", PrependsSpace(root.Find("normalizer")));
    }

    private IEnumerable<KeyValuePair<string, GgufValue>> ByteLevel()
    {
        yield return new("tokenizer.ggml.model", "gpt2");
        yield return new("tokenizer.ggml.pre", "gpt-2");
        yield return new("tokenizer.ggml.tokens", tokens);
        yield return new("tokenizer.ggml.token_type", types);
        yield return new("tokenizer.ggml.merges", Merges().Select(merge => $"{merge.Left} {merge.Right}").ToArray());
    }

    private IEnumerable<KeyValuePair<string, GgufValue>> Marks()
    {
        var known = ids.Values.Select(id => (long)id).ToHashSet();
        var marks = new DocumentMarks(path, known, token => ids.TryGetValue(token, out int id) ? id : null);
        (string Key, long? Id)[] found = [("bos", marks.Find("bos_token")), ("eos", marks.Find("eos_token")), ("unknown", model.Find("unk_token") is { } unknown && ids.TryGetValue(unknown.Text(), out int place) ? place : null)];
        foreach (var (key, id) in found.Where(mark => mark.Id is not null))
        {
            yield return new($"tokenizer.ggml.{key}_token_id", (uint)id!);
        }

        string settings = Path.Combine(Path.GetDirectoryName(path)!, "tokenizer_config.json");
        if (File.Exists(settings) && StrictJson.Read(settings, DiagnosticIds.BrokenTokenizer, "a configuration", AddsStart) is { } addsStart)
        {
            yield return new("tokenizer.ggml.add_bos_token", addsStart);
        }
    }

    private static bool? AddsStart(JsonElement settings) => settings.Find("add_bos_token")?.GetBoolean();

    private IEnumerable<(string Left, string Right)> Merges() => model.Get("merges").EnumerateArray().Select(merge =>
    {
        string[] pair = merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(side => side.Text())] : merge.Text().Split(' ');
        return pair is [var left, var right] ? (left, right) : throw new FormatException($"'{merge.GetRawText()}' is no pair");
    });

    private static bool IsPlainByteLevel(JsonElement? preTokenizer) => preTokenizer is { } entry && entry.Text("type") == "ByteLevel"
        && entry.Find("add_prefix_space") is not { ValueKind: JsonValueKind.True } && entry.Find("use_regex") is not { ValueKind: JsonValueKind.False };

    private static bool PrependsSpace(JsonElement? normalizer) => normalizer is { } entry && entry.Text("type") switch
    {
        "Prepend" => true,
        "Sequence" => entry.Get("normalizers").EnumerateArray().Any(step => PrependsSpace(step)),
        _ => false,
    };

    private PipelineException Refusal(string reason) => new(DiagnosticIds.BrokenTokenizer, $"'{path}' is no tokenizer that a GGUF file holds: {reason}", path);

    [GeneratedRegex("^<0x[0-9A-F]{2}>$")]
    private static partial Regex ByteToken();
}
