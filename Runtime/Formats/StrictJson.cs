using System.Text.Json;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats;

/// <summary>Reads JSON files as formats want them: no duplicate keys, no comments, a bounded size.</summary>
internal static class StrictJson
{
    private const long MaxBytes = 256L << 20;

    public static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    /// <summary>Reads a file and makes something of it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="id">The code of a damaged file.</param>
    /// <param name="what">What the file should be: <c>a shard index</c>.</param>
    /// <param name="read">Gets the root; a value of an unexpected kind may simply throw what <see cref="JsonElement"/> throws.</param>
    /// <exception cref="PipelineException">PDSL1015: it is not there. PDSL3012: it cannot be read. <paramref name="id"/>: it is damaged.</exception>
    public static T Read<T>(string path, string id, string what, Func<JsonElement, T> read)
    {
        byte[] bytes = ReadableFile.Try(path, path => new FileInfo(path).Length <= MaxBytes
            ? File.ReadAllBytes(path)
            : throw new PipelineException(id, $"'{path}' is larger than {MaxBytes} bytes and thus not {what}; check the path", path));
        try
        {
            using var json = JsonDocument.Parse(bytes.AsMemory(bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0), Options);
            return read(json.RootElement);
        }
        catch (JsonException failure)
        {
            throw new PipelineException(id, $"'{path}' is not {what}: {Reason(failure)}; get or write the file again", PlaceOf(path, failure), failure);
        }
        catch (Exception failure) when (failure is InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new PipelineException(id, $"'{path}' is not {what}: a value is missing or of the wrong kind ({failure.Message}); get or write the file again", path, failure);
        }
    }

    /// <summary>A property that is there and not null.</summary>
    public static JsonElement? Find(this JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>A string property that must be there.</summary>
    public static string Text(this JsonElement element, string name) => element.Get(name).Text();

    /// <summary>A property that must be there.</summary>
    public static JsonElement Get(this JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) ? value : throw new FormatException($"'{name}' is not there");

    /// <summary>A value that must be a string.</summary>
    public static string Text(this JsonElement element) => element.GetString() ?? throw new FormatException("null where a string is needed");

    /// <summary>What is wrong, without the place, which the diagnostic has already.</summary>
    private static string Reason(JsonException failure) => failure.Message.Split(" LineNumber:")[0].TrimEnd('.');

    private static SourceSpan PlaceOf(string path, JsonException failure)
    {
        int line = (int)(failure.LineNumber ?? 0) + 1;
        int column = (int)(failure.BytePositionInLine ?? 0) + 1;
        return new SourceSpan(path, line, column, line, column);
    }
}
