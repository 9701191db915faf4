using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>A compressed layer as a report tells of it: the manifest's record with what the run knows beside it.</summary>
/// <param name="Number">Its place in the manifest, from 1.</param>
/// <param name="Record">What the manifest says.</param>
/// <param name="Cached">Whether it came from the cache.</param>
/// <param name="Seconds">How long solving it took, or null.</param>
internal sealed record ReportLayer(int Number, LayerRecord Record, bool Cached, double? Seconds)
{
    /// <summary>The share of the weight that was lost.</summary>
    public double? RelativeError => Fact("relativeError");

    /// <summary>How far training moved the weight, as a share of its size, or null where it was not trained.</summary>
    public double? TrainedChange => Fact("relativeChange");

    /// <summary>The loss that the solver foretold, or null.</summary>
    public double? PredictedLoss => Fact("predictedLoss");

    /// <summary>The number of singular values that were kept, or null.</summary>
    public long? Rank => (long?)Fact("rank") ?? InnerSize(Record.Weight);

    /// <summary>Relative error times size: what is large here deserves the first look.</summary>
    public double Attention => (RelativeError ?? 0) * Record.BytesBefore;

    /// <summary>The anchor of its row.</summary>
    public string Anchor => "layer-" + Figures.Whole(Number);

    /// <summary>The last part of the path that says what the layer does.</summary>
    public string Name => Record.Path[Stem.Length..];

    /// <summary>The path before <see cref="Name"/>, with its dot.</summary>
    public string Stem => Record.Path[..(Record.Path.LastIndexOf('.') + 1)];

    /// <summary>The repeated block it belongs to (<c>model.layers.0</c>), else the module around it.</summary>
    public string Block
    {
        get
        {
            string[] segments = Record.Path.Split('.');
            int index = Array.FindIndex(segments, segment => segment.Length > 0 && segment.All(char.IsAsciiDigit));
            return string.Join('.', segments.Take(index < 0 ? segments.Length - 1 : index + 1));
        }
    }

    /// <summary>The end of a repeated block's path (<c>layers.0</c>), or null outside of one.</summary>
    public string? BlockName => Block.Length > 0 && char.IsAsciiDigit(Block[^1]) && Block != Record.Path
        ? string.Join('.', Block.Split('.').TakeLast(2))
        : null;

    /// <summary>The names of its steps without their settings.</summary>
    public string StepNames => string.Join(" → ", Record.Steps.Select(step => step.Split(' ', '{', ':')[0]));

    /// <summary>All layers of a manifest, in its order.</summary>
    public static IReadOnlyList<ReportLayer> All(Manifest manifest, RunFacts facts) =>
        [.. manifest.Layers.Select((layer, i) => new ReportLayer(i + 1, layer, facts.CachedLayers.Contains(layer.Path),
            facts.LayerSeconds.TryGetValue(layer.Path, out double seconds) ? seconds : null))];

    private double? Fact(string name) => Record.Facts.TryGetValue(name, out double value) ? value : null;

    /// <summary>The columns of the left factor of the first product in a weight expression.</summary>
    private static long? InnerSize(JsonObject weight)
    {
        var product = Objects(weight).FirstOrDefault(part => part["form"] is JsonValue form && form.TryGetValue(out string? name) && name == "product");
        return product is null ? null : Objects(product).Skip(1).Select(Columns).FirstOrDefault(columns => columns is not null);
    }

    private static long? Columns(JsonObject part) => part["columns"] is JsonValue columns && columns.TryGetValue(out long count) ? count : null;

    private static IEnumerable<JsonObject> Objects(JsonNode? node) => node switch
    {
        JsonObject part => part.SelectMany(entry => Objects(entry.Value)).Prepend(part),
        JsonArray parts => parts.SelectMany(Objects),
        _ => [],
    };
}
