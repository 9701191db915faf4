using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Cli.Inspection;

/// <summary>What an artifact is, as its manifest tells it.</summary>
internal sealed record ArtifactInspection
{
    /// <summary>The version of this layout.</summary>
    public int Schema { get; init; } = 1;

    /// <summary><c>artifact</c>.</summary>
    public string Kind { get; init; } = "artifact";

    /// <summary>The folder.</summary>
    public required string Path { get; init; }

    /// <summary>The recipe's name.</summary>
    public required string Recipe { get; init; }

    /// <summary>The full name of the model's class.</summary>
    public required string Model { get; init; }

    /// <summary>The version that made it.</summary>
    public required string Engine { get; init; }

    /// <summary><c>cpu</c> or <c>cuda</c>.</summary>
    public required string Device { get; init; }

    /// <summary>Bytes of all tensors.</summary>
    public required ByteTotals Bytes { get; init; }

    /// <summary>Quality before and after, or null where it was not measured.</summary>
    public QualityRecord? Quality { get; init; }

    /// <summary>The layers, or those that the filter chose.</summary>
    public required IReadOnlyList<InspectedLayer> Layers { get; init; }

    /// <summary>The tensors that are stored as they were, or those that the filter chose.</summary>
    public required IReadOnlyList<TensorRecord> Kept { get; init; }

    /// <summary>What was written for other programs.</summary>
    public required IReadOnlyList<string> Exports { get; init; }

    /// <summary>Whether an adapter lies beside the weights.</summary>
    public required bool HasAdapter { get; init; }

    /// <summary>What the user should know.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Reads an artifact.</summary>
    /// <exception cref="Diagnostics.PipelineException">PDSL3010: it is damaged. PDSL1012: the filter chooses nothing.</exception>
    public static ArtifactInspection Of(string folder, Selection selection)
    {
        var manifest = ManifestFile.Read(folder);
        var chosen = selection.Named([.. manifest.Layers.Select(layer => layer.Path), .. manifest.Kept.Select(tensor => tensor.Name)], name => name, "layers and tensors").ToHashSet(StringComparer.Ordinal);
        return new()
        {
            Path = folder,
            Recipe = manifest.Recipe,
            Model = manifest.Model,
            Engine = manifest.Engine,
            Device = manifest.Device,
            Bytes = manifest.Bytes,
            Quality = manifest.Quality,
            Layers = [.. manifest.Layers.Where(layer => chosen.Contains(layer.Path)).Select(InspectedLayer.Of)],
            Kept = [.. manifest.Kept.Where(tensor => chosen.Contains(tensor.Name))],
            Exports = [.. manifest.Exports?.Select(export => export.Format) ?? []],
            HasAdapter = Directory.Exists(System.IO.Path.Combine(folder, ArtifactFiles.Adapter)),
            Warnings = manifest.Warnings,
        };
    }
}

/// <summary>A compressed layer.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Kind"><c>linear</c>, <c>embedding</c> or <c>conv2d</c>.</param>
/// <param name="Shape">The shape of its weight.</param>
/// <param name="Form">What is stored: <c>product(grid8, grid8)</c>.</param>
/// <param name="Steps">The steps that made it.</param>
/// <param name="BitsPerWeight">All bits stored for the layer, bias included, for each value of its weight.</param>
/// <param name="BytesBefore">Bytes before.</param>
/// <param name="BytesAfter">Bytes after.</param>
/// <param name="RelativeError">Of the weight, where the solver told it.</param>
internal sealed record InspectedLayer(
    string Path, string Kind, IReadOnlyList<long> Shape, string Form, IReadOnlyList<string> Steps, double BitsPerWeight, long BytesBefore, long BytesAfter, double? RelativeError)
{
    /// <summary>Parts that a form uses, but that a reader does not think of as stored weights.</summary>
    private static readonly HashSet<string> Auxiliary = ["scales", "zeros", "levels"];

    /// <summary>Reads a layer's record.</summary>
    public static InspectedLayer Of(LayerRecord layer) => new(
        layer.Path,
        layer.Kind,
        layer.Shape,
        FormOf(layer.Weight),
        layer.Steps,
        8.0 * layer.BytesAfter / Math.Max(1, layer.Shape.Aggregate(1L, (product, size) => product * size)),
        layer.BytesBefore,
        layer.BytesAfter,
        layer.Facts.TryGetValue("relativeError", out double error) ? error : null);

    private static string FormOf(JsonObject description)
    {
        string[] parts =
        [
            .. description.Where(entry => !Auxiliary.Contains(entry.Key))
                .SelectMany(entry => entry.Value switch { JsonObject part => [part], JsonArray list => list.OfType<JsonObject>(), _ => [] })
                .Where(part => part.ContainsKey("form")).Select(FormOf),
        ];
        string bits = description["bits"] is JsonValue value ? value.ToJsonString() : "";
        return (description["form"]?.ToString() ?? "?") + bits + (parts.Length == 0 ? "" : $"({string.Join(", ", parts)})");
    }
}
