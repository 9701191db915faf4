using System.Text.Json;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>The ids that start and end a document, as <c>tokenizer_config.json</c> and <c>config.json</c> beside a tokenizer name them.</summary>
/// <param name="tokenizerPath">The tokenizer; files that are not beside it say nothing.</param>
/// <param name="ids">The ids that there are; a mark with another id counts as none.</param>
/// <param name="idOf">The id of a token, or null.</param>
internal sealed class DocumentMarks(string tokenizerPath, IReadOnlySet<long> ids, Func<string, int?> idOf)
{
    /// <summary>The id of <c>bos_token</c> or <c>eos_token</c>, or null.</summary>
    public long? Find(string mark) =>
        Ask("tokenizer_config.json", root => root.Find(mark))
        ?? Ask("config.json", root => root.Find(mark + "_id"));

    private long? Ask(string fileName, Func<JsonElement, JsonElement?> find)
    {
        string path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(tokenizerPath))!, fileName);
        return File.Exists(path) ? StrictJson.Read(path, DiagnosticIds.BrokenTokenizer, "a configuration", root => IdFrom(find(root))) : null;
    }

    /// <summary>A mark is an id, a token, an object with the token, or several ids of which the first counts.</summary>
    private long? IdFrom(JsonElement? mark) => mark switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } id => ids.Contains(id.GetInt64()) ? id.GetInt64() : null,
        { ValueKind: JsonValueKind.String } token => idOf(token.Text()),
        { ValueKind: JsonValueKind.Object } token => IdFrom(token.Find("content")),
        { ValueKind: JsonValueKind.Array } several => IdFrom(several.EnumerateArray().FirstOrDefault()),
        _ => null,
    };
}
