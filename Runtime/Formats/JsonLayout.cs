using System.Text.Encodings.Web;
using System.Text.Json;

namespace PipelineDsl.Runtime.Formats;

/// <summary>How the files that this library writes for people and programs look as JSON.</summary>
internal static class JsonLayout
{
    /// <summary>Names in camel case, indented, line feeds, letters as they are; a file that needs more starts from a copy.</summary>
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };
}
