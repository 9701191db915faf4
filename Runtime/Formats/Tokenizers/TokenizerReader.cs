using System.Text.Json;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>Reads a <c>tokenizer.json</c> and what the files beside it say about the start and end of documents.</summary>
internal sealed class TokenizerReader
{
    private readonly string path;
    private readonly TextSteps steps;

    private TokenizerReader(string path)
    {
        this.path = path;
        steps = new TextSteps(path);
    }

    public static Tokenizer Read(string path) =>
        StrictJson.Read(path, DiagnosticIds.BrokenTokenizer, "a tokenizer", new TokenizerReader(path).ReadTokenizer);

    private Tokenizer ReadTokenizer(JsonElement root)
    {
        var model = root.Get("model");
        CheckModel(model);
        var vocabulary = ReadVocabulary(model);
        var added = ReadAddedTokens(root, vocabulary);
        var (prefix, suffix) = ReadTemplate(root.Find("post_processor"));
        var ids = vocabulary.Values.Concat(added.Select(token => token.Id)).Select(id => (long)id).ToHashSet();
        if (prefix.Concat(suffix).FirstOrDefault(id => !ids.Contains(id), -1) is >= 0 and var unknown)
        {
            throw Broken($"it adds a token with id {unknown}, which the vocabulary does not have");
        }

        var parts = new TokenizerParts
        {
            Vocabulary = vocabulary,
            AddedTokens = added,
            Normalize = steps.Normalizer(root.Find("normalizer")),
            Words = steps.PreTokenizer(root.Find("pre_tokenizer")),
            Decode = steps.Decoder(root.Find("decoder")),
            Model = ReadModel(model, vocabulary),
            Prefix = prefix,
            Suffix = suffix,
        };
        var beside = new DocumentMarks(path, ids, token => added.FirstOrDefault(entry => entry.Content == token)?.Id ?? (vocabulary.TryGetValue(token, out int id) ? id : null));
        return new Tokenizer(path, parts)
        {
            BeginId = prefix.Count > 0 ? prefix[0] : beside.Find("bos_token"),
            EndId = beside.Find("eos_token"),
        };
    }

    private void CheckModel(JsonElement model)
    {
        string? type = model.Find("type")?.GetString();
        if (type != "BPE")
        {
            throw steps.Unsupported("model", type, "BPE");
        }

        foreach (string affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Find(affix)?.GetString() is { Length: > 0 })
            {
                throw steps.Unsupported("setting", affix, "none");
            }
        }
    }

    private Dictionary<string, int> ReadVocabulary(JsonElement model)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        var owners = new Dictionary<int, string>();
        foreach (var entry in model.Get("vocab").EnumerateObject())
        {
            int id = CheckedId(entry.Value, entry.Name);
            if (!owners.TryAdd(id, entry.Name))
            {
                throw Broken($"tokens '{owners[id]}' and '{entry.Name}' both have id {id}");
            }

            vocabulary.Add(entry.Name, id);
        }

        return vocabulary.Count > 0 ? vocabulary : throw Broken("its vocabulary is empty");
    }

    private List<AddedToken> ReadAddedTokens(JsonElement root, Dictionary<string, int> vocabulary)
    {
        var texts = vocabulary.ToDictionary(entry => entry.Value, entry => entry.Key);
        var tokens = new List<AddedToken>();
        foreach (var entry in root.Find("added_tokens")?.EnumerateArray() ?? default)
        {
            string content = entry.Text("content");
            int id = CheckedId(entry.Get("id"), content);
            if (!texts.TryAdd(id, content) && texts[id] != content)
            {
                throw Broken($"tokens '{texts[id]}' and '{content}' both have id {id}");
            }

            tokens.Add(new AddedToken(id, content, Flag("special"), Flag("normalized"), Flag("single_word"), Flag("lstrip"), Flag("rstrip")));

            bool Flag(string name) => entry.Find(name)?.GetBoolean() ?? false;
        }

        return tokens;
    }

    private BytePairEncoder ReadModel(JsonElement model, Dictionary<string, int> vocabulary)
    {
        bool byteFallback = model.Find("byte_fallback")?.GetBoolean() ?? false;
        string? unknown = model.Find("unk_token")?.GetString();
        return new BytePairEncoder(vocabulary)
        {
            Merges = ReadMerges(model, vocabulary),
            ByteIds = byteFallback ? ByteIds(vocabulary) : null,
            UnknownId = unknown is null ? null : vocabulary.TryGetValue(unknown, out int id) ? id : throw Broken($"'unk_token' '{unknown}' is not in the vocabulary"),
            FuseUnknown = model.Find("fuse_unk")?.GetBoolean() ?? false,
            IgnoreMerges = model.Find("ignore_merges")?.GetBoolean() ?? false,
        };
    }

    private int[] ByteIds(Dictionary<string, int> vocabulary) =>
        [.. Enumerable.Range(0, 256).Select(value => vocabulary.TryGetValue($"<0x{value:X2}>", out int id) ? id : throw Broken($"it falls back to bytes but lacks the token '<0x{value:X2}>'"))];

    private Dictionary<(int Left, int Right), (int Rank, int Id)> ReadMerges(JsonElement model, Dictionary<string, int> vocabulary)
    {
        var merges = new Dictionary<(int, int), (int, int)>();
        int rank = 0;
        foreach (var entry in model.Get("merges").EnumerateArray())
        {
            string[] pair = entry.ValueKind == JsonValueKind.Array ? [.. entry.EnumerateArray().Select(part => part.Text())] : entry.Text().Split(' ');
            if (pair.Length != 2)
            {
                throw Broken($"merge {rank}, {entry.GetRawText()}, is not two tokens");
            }

            // A pair that is listed twice keeps its first, lower rank.
            merges.TryAdd((IdOf(pair[0]), IdOf(pair[1])), (rank, IdOf(pair[0] + pair[1])));
            rank++;
        }

        return merges;

        int IdOf(string token) => vocabulary.TryGetValue(token, out int id) ? id : throw Broken($"merge {rank} needs the token '{token}', which is not in the vocabulary");
    }

    private (List<long> Prefix, List<long> Suffix) ReadTemplate(JsonElement? entry)
    {
        if (entry is not { } processor || TextSteps.TypeOf(processor) == "ByteLevel")
        {
            return ([], []);
        }

        if (TextSteps.TypeOf(processor) == "Sequence")
        {
            var parts = processor.Get("processors").EnumerateArray().Select(part => ReadTemplate(part)).ToArray();
            return ([.. parts.SelectMany(part => part.Prefix)], [.. parts.SelectMany(part => part.Suffix)]);
        }

        if (TextSteps.TypeOf(processor) is not "TemplateProcessing" and var type)
        {
            throw steps.Unsupported("post_processor", type, "ByteLevel, Sequence, TemplateProcessing");
        }

        return ReadSingleTemplate(processor);
    }

    private static (List<long> Prefix, List<long> Suffix) ReadSingleTemplate(JsonElement processor)
    {
        List<long> prefix = [], suffix = [];
        bool afterText = false;
        foreach (var piece in processor.Get("single").EnumerateArray())
        {
            if (piece.Find("SpecialToken") is { } special)
            {
                var ids = processor.Get("special_tokens").Get(special.Text("id")).Get("ids");
                (afterText ? suffix : prefix).AddRange(ids.EnumerateArray().Select(id => (long)id.GetUInt32()));
            }
            else
            {
                afterText = true;
            }
        }

        return (prefix, suffix);
    }

    private int CheckedId(JsonElement value, string token) => value.TryGetInt32(out int id) && id is >= 0 and < int.MaxValue
        ? id
        : throw Broken($"token '{token}' has the id {value.GetRawText()}, which is no integer from 0 up");

    private PipelineException Broken(string reason) =>
        new(DiagnosticIds.BrokenTokenizer, $"'{path}' is damaged: {reason}; get the tokenizer again", path);
}
