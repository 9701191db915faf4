using System.Text.Json;
using System.Text.Json.Serialization;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Comparison;

/// <summary>Writes a comparison for people and for programs.</summary>
public static class ComparisonText
{
    private const int DigestDigits = 12;

    private static readonly JsonSerializerOptions Options = new(JsonLayout.Options)
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>A plain text table of the layers that differ, and what else does; lines end in a line feed.</summary>
    public static string ToText(ComparisonReport comparison)
    {
        var lines = new List<string> { $"{comparison.Old.Recipe} ({comparison.Old.Path}) → {comparison.New.Recipe} ({comparison.New.Path})" };
        if (comparison.IsEmpty)
        {
            lines.Add($"nothing differs: {Figures.Count(comparison.UnchangedLayers, "layer")}, {Figures.Bytes(comparison.New.BytesAfter)}");
            return Join(lines);
        }

        bool hasErrors = comparison.Layers.Any(layer => layer.OldError is not null || layer.NewError is not null);
        if (comparison.Layers.Count > 0)
        {
            string[] head = ["", "layer", "what", ">bytes", .. hasErrors ? [">error"] : Array.Empty<string>()];
            lines.AddRange(TextTable.Lines(head, [.. comparison.Layers.Select(layer => Row(layer, hasErrors))]).Select(line => "  " + line));
        }

        lines.AddRange(Totals(comparison));
        return Join(lines);
    }

    /// <summary>The same as JSON: the names of <see cref="ComparisonReport"/> in camel case; ends in a line feed.</summary>
    public static string ToJson(ComparisonReport comparison) => JsonSerializer.Serialize(comparison, Options) + "\n";

    private static string[] Row(ComparedLayer layer, bool hasErrors)
    {
        string sign = layer.Difference switch { LayerDifference.Added => "+", LayerDifference.Removed => "-", _ => "~" };
        string[] cells = [sign, layer.Path, What(layer), Pair(layer.OldBytes, layer.NewBytes, bytes => Figures.Whole(bytes))];
        return hasErrors ? [.. cells, Pair(layer.OldError, layer.NewError, error => Figures.Number(error))] : cells;
    }

    private static string What(ComparedLayer layer)
    {
        List<string> words = [.. layer.Steps.Select(Words)];
        if (layer.OldShape is { } old && layer.NewShape is { } current && !old.SequenceEqual(current))
        {
            words.Add($"shape {Figures.Shape(old)} → {Figures.Shape(current)}");
        }

        if (layer.SameOriginal == false)
        {
            words.Add("another original weight");
        }

        return words.Count > 0 ? string.Join("; ", words) : layer.Difference == LayerDifference.Changed ? "the same steps, other values" : "no step";
    }

    private static string Words(StepChange change) => change switch
    {
        { Setting: { } setting } => $"{change.Step}.{setting} {change.Old ?? Figures.Missing} → {change.New ?? Figures.Missing}",
        { Old: null } => change.New!,
        { New: null } => "no " + change.Old,
        _ => $"{change.Old} → {change.New}",
    };

    private static IEnumerable<string> Totals(ComparisonReport comparison)
    {
        int Count(LayerDifference difference) => comparison.Layers.Count(layer => layer.Difference == difference);
        yield return $"layers: {Count(LayerDifference.Changed)} changed, {Count(LayerDifference.Added)} added, {Count(LayerDifference.Removed)} removed, {comparison.UnchangedLayers} the same";
        var (old, current) = (comparison.Old, comparison.New);
        string change = old.BytesAfter > 0 && old.BytesAfter != current.BytesAfter ? $" ({Figures.Change((double)(current.BytesAfter - old.BytesAfter) / old.BytesAfter)})" : "";
        yield return $"bytes: {Figures.Whole(old.BytesAfter)} → {Figures.Whole(current.BytesAfter)}{change}";
        if (old.Quality is not null || current.Quality is not null)
        {
            yield return old.Quality?.Metric == current.Quality?.Metric || old.Quality is null || current.Quality is null
                ? $"{(old.Quality ?? current.Quality)!.Metric}: {Quality(old.Quality)} → {Quality(current.Quality)}"
                : $"quality: {old.Quality.Metric} {Quality(old.Quality)} → {current.Quality.Metric} {Quality(current.Quality)}";
        }

        foreach (var source in comparison.Sources)
        {
            yield return $"source {source.Role}: {Digest(source.Old)} → {Digest(source.New)}";
        }

        foreach (var value in comparison.Values)
        {
            yield return $"{value.Name}: {value.Old ?? Figures.Missing} → {value.New ?? Figures.Missing}";
        }

        if (comparison.IdenticalWeights is { } identical)
        {
            yield return identical ? "weights: the same to the bit" : "weights: not the same";
        }
    }

    private static string Quality(ComparedQuality? quality) =>
        quality is null ? "not measured" : $"{Figures.Metric(quality.Compressed)} ({Loss(quality.Regression)} {Figures.Metric(quality.Original)})";

    /// <summary>Worse and better, for a loss of accuracy is a fall and one of perplexity a rise.</summary>
    private static string Loss(double regression) => regression switch
    {
        > 0 => Figures.Percent(regression) + " worse than",
        < 0 => Figures.Percent(-regression) + " better than",
        0 => "as good as",
        _ => "not comparable with",
    };

    private static string Digest(string? digest) => digest is null ? "none" : digest.Length > DigestDigits ? digest[..DigestDigits] + "…" : digest;

    private static string Pair<T>(T? old, T? current, Func<T, string> write)
        where T : struct =>
        old.Equals(current) ? write(old!.Value) : $"{(old is { } before ? write(before) : Figures.Missing)} → {(current is { } after ? write(after) : Figures.Missing)}";

    private static string Join(IEnumerable<string> lines) => string.Concat(lines.Select(line => line + "\n"));
}
