using System.Text.Json;
using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;

namespace PipelineDsl.Runtime.Artifacts;

/// <summary>Reads and writes <c>manifest.json</c>: keys sorted, invariant numbers, the same bytes for the same artifact.</summary>
public static class ManifestFile
{
    private static readonly JsonSerializerOptions Options = new(JsonLayout.Options)
    {
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>The text of a manifest.</summary>
    public static string Write(Manifest manifest) => Sort(JsonSerializer.SerializeToNode(manifest, Options))!.ToJsonString(Options) + "\n";

    /// <summary>Reads the manifest of an artifact's folder.</summary>
    /// <exception cref="PipelineException">PDSL3010: it is missing, damaged or of another version.</exception>
    public static Manifest Read(string folder)
    {
        string path = Path.Combine(folder, ArtifactFiles.Manifest);
        try
        {
            var manifest = JsonSerializer.Deserialize<Manifest>(File.ReadAllText(path), Options) ?? throw new JsonException("it is empty");
            return manifest.Schema == Manifest.CurrentSchema
                ? manifest
                : throw new PipelineException(DiagnosticIds.ArtifactRefused, $"'{path}' has layout {manifest.Schema} and this library reads {Manifest.CurrentSchema}; build the artifact again with this version", path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            string reason = failure is FileNotFoundException or DirectoryNotFoundException ? "" : $" ({failure.Message})";
            throw new PipelineException(DiagnosticIds.ArtifactRefused, $"there is no artifact in '{folder}'{reason}; build the project, or pass the folder that holds '{ArtifactFiles.Manifest}'", path, failure);
        }
        catch (JsonException failure)
        {
            throw new PipelineException(DiagnosticIds.ArtifactRefused, $"'{path}' is damaged: {failure.Message}; build the project again", path, failure);
        }
    }

    private static JsonNode? Sort(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(item => item.Key, StringComparer.Ordinal).Select(item => KeyValuePair.Create(item.Key, Sort(item.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sort)]),
        _ => node?.DeepClone(),
    };
}
