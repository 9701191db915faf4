using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats;

namespace PipelineDsl.Runtime.Report;

/// <summary>Tells what a build did to a model as data, for programs that compare builds. The schema is <c>docs/report.schema.json</c>.</summary>
public static class JsonReport
{
    /// <summary>How the report is written; a number that is not finite is null.</summary>
    internal static JsonSerializerOptions Options { get; } = new(JsonLayout.Options)
    {
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        Converters = { new FiniteNumber() },
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
    };

    /// <summary>The text <c>report.json</c>; the same input gives the same text.</summary>
    /// <param name="manifest">What the artifact is.</param>
    /// <param name="facts">What the run knows beside it.</param>
    public static string Write(Manifest manifest, RunFacts facts) => JsonSerializer.Serialize(Document(manifest, facts), Options) + "\n";

    /// <summary>The report before it is written.</summary>
    public static ReportDocument Document(Manifest manifest, RunFacts facts)
    {
        var layers = ReportLayer.All(manifest, facts);
        double attention = layers.Sum(layer => layer.Attention);
        var origins = LossOrigins.Of(layers, manifest.Allocation);
        var (before, after) = LayerMap.Both(layers, manifest.Kept);
        return new(
            ReportDocument.CurrentSchema,
            manifest.Training is null ? "compression" : "fineTuning",
            manifest.Recipe,
            manifest.Model,
            new(Verdict.Passed(manifest), Verdict.Sentence(manifest)),
            manifest.Bytes,
            manifest.Quality,
            manifest.Warnings,
            [.. Verdict.Worst(layers, Verdict.WorstCount).Select(layer => layer.Record.Path)],
            [.. layers.Select((layer, i) => Layer(layer, attention, origins?.Layers[i].Share ?? 0))],
            manifest.Kept,
            new(Map(before), Map(after)),
            origins is null ? null : new(origins.IsAllocated ? "allocation" : "errorTimesBytes", Shares(origins.Blocks), Shares(origins.Names)),
            TradeOff.Of(manifest, layers) is { } curve ? new(curve.IsAllocated ? "allocation" : "spectra", curve.Points, curve.Chosen) : null,
            manifest.Allocation,
            manifest.Training,
            manifest.Analysis,
            manifest.Elastic,
            manifest.Exports ?? [],
            new(manifest.Engine, manifest.TensorLibrary, manifest.Device, manifest.Seed, manifest.Plan, manifest.Weights, manifest.Sources),
            new(
                facts.Seconds.Sum(phase => phase.Seconds),
                [.. facts.Seconds.Select(phase => new ReportPhase(phase.Phase, phase.Seconds))],
                layers.Count(layer => layer.Cached),
                [.. layers.Select(layer => new ReportLayerRun(layer.Record.Path, layer.Cached, layer.Seconds))]));
    }

    private static ReportMap Map(LayerMap map)
    {
        var (least, most) = map.Slack();
        return new(
            map.Bytes,
            Rounded(LayerMap.Width * map.Scale),
            Rounded(LayerMap.Height * map.Scale),
            map.ThinnestTile,
            map.ThinnestRectangle,
            least,
            most,
            [.. map.Tiles.Select(tile => new ReportTile(tile.Path, tile.Bytes, [.. tile.Polygon.Vertices.SelectMany(vertex => new[] { Rounded(vertex.X), Rounded(vertex.Y) })]))],
            map.Empty);
    }

    /// <summary>As the page draws it.</summary>
    private static double Rounded(double length) => Math.Round(length, 3);

    private static IReadOnlyList<ReportShare> Shares(IEnumerable<(string Name, double Share)> shares) => [.. shares.Select(item => new ReportShare(item.Name, item.Share))];

    private static ReportedLayer Layer(ReportLayer layer, double attention, double lossShare)
    {
        var record = layer.Record;
        return new(
            record.Path,
            layer.Block,
            record.Kind,
            record.Shape,
            record.Steps,
            record.BytesBefore,
            record.BytesAfter,
            layer.RelativeError,
            attention > 0 ? layer.Attention / attention : 0,
            lossShare,
            layer.TrainedChange,
            layer.PredictedLoss,
            layer.Rank,
            record.Facts,
            record.Spectrum,
            record.Notes);
    }

    private sealed class FiniteNumber : JsonConverter<double>
    {
        public override double Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.TokenType == JsonTokenType.Null ? double.NaN : reader.GetDouble();

        public override void Write(Utf8JsonWriter writer, double value, JsonSerializerOptions options)
        {
            if (double.IsFinite(value))
            {
                writer.WriteNumberValue(value);
            }
            else
            {
                writer.WriteNullValue();
            }
        }

        public override bool HandleNull => true;
    }
}
