using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Export;

/// <summary>A folder as model hubs have it: weights, the model's configuration with how it was quantised, and the files that stood beside the original weights.</summary>
internal static class CheckpointFolder
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the folder.</summary>
    /// <param name="folder">The folder, which is made.</param>
    /// <param name="source">The model.</param>
    /// <param name="layers">The tensors of compressed layers.</param>
    /// <param name="quantization">The value of <c>quantization_config</c>, or null for a checkpoint of plain floats.</param>
    /// <exception cref="PipelineException">PDSL3016: the model's <c>config.json</c> cannot be read. PDSL3012: a file cannot be written.</exception>
    public static void Write(string folder, ExportSource source, IEnumerable<PendingTensor> layers, JsonObject? quantization)
    {
        SafetensorsWriter.Write(Path.Combine(folder, ArtifactFiles.Weights), [.. layers, .. source.Others]);
        foreach (var (role, path) in source.Paths.OrderBy(item => item.Key, StringComparer.Ordinal))
        {
            // What a recipe calls its tokenizer may be of another kind: only the name that readers look for is theirs.
            if (Path.GetFileName(path) == role + ".json" && role != RecipeFiles.Configuration)
            {
                AtomicFile.Write(Path.Combine(folder, role + ".json"), stream => stream.Write(File.ReadAllBytes(path)));
            }
        }

        var config = source.Paths.TryGetValue(RecipeFiles.Configuration, out string? original) ? Read(original) : [];
        if (quantization is not null)
        {
            config["quantization_config"] = quantization;
        }

        AtomicFile.Write(Path.Combine(folder, "config.json"), stream => stream.Write(Encoding.UTF8.GetBytes(config.ToJsonString(Options) + "\n")));
    }

    /// <summary>Names as a JSON array.</summary>
    public static JsonArray List(IEnumerable<string> names) => [.. names.Select(name => (JsonNode)name)];

    private static JsonObject Read(string path) => StrictJson.Read(path, DiagnosticIds.NotExportable, "a configuration", root =>
        root.ValueKind == JsonValueKind.Object ? JsonObject.Create(root.Clone())! : throw new FormatException("it is no object"));
}
