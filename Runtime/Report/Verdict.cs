using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>The outcome of a build in words.</summary>
internal static class Verdict
{
    /// <summary>How many layers a report asks to look at first.</summary>
    public const int WorstCount = 5;

    /// <summary>Whether quality stayed within the recipe's limit; null where there is none.</summary>
    public static bool? Passed(Manifest manifest) => manifest.Quality is { MaxRegression: { } limit } quality ? quality.Regression <= limit : null;

    /// <summary>The outcome in two or three sentences.</summary>
    public static string Sentence(Manifest manifest)
    {
        var (before, after) = manifest.Bytes;
        if (manifest.Training is { Adapter: { } adapter })
        {
            return $"The adapter takes {Figures.Bytes(adapter.Bytes)} beside the model's {Figures.Bytes(before)}. {QualitySentence(manifest.Quality, "With it the")}";
        }

        string size = after < before
            ? $"takes {Figures.Bytes(after)} instead of {Figures.Bytes(before)}: {Figures.Percent(1 - (double)after / before)} of the space is saved."
            : $"takes {Figures.Bytes(after)}; the original takes {Figures.Bytes(before)}, so nothing is saved.";
        return $"The compressed model {size} {QualitySentence(manifest.Quality, "Its")}";
    }

    /// <summary>How quality changed: <c>2.19% worse</c>.</summary>
    public static string Change(QualityRecord quality) => quality.Regression switch
    {
        > 0 => $"{Figures.Percent(quality.Regression)} worse",
        < 0 => $"{Figures.Percent(-quality.Regression)} better",
        0 => "unchanged",
        _ => "not comparable",
    };

    /// <summary>The layers whose error weighs most: relative error times size.</summary>
    public static IReadOnlyList<ReportLayer> Worst(IEnumerable<ReportLayer> layers, int count) =>
        [.. layers.Where(layer => layer.Attention > 0).OrderByDescending(layer => layer.Attention).Take(count)];

    private static string QualitySentence(QualityRecord? quality, string subject)
    {
        if (quality is null)
        {
            return "The recipe does not measure quality, so nothing is known about it.";
        }

        string limit = quality.MaxRegression is { } most
            ? $" The recipe allows a loss of {Figures.Limit(most)}{(quality.Regression <= most ? "." : ": this is too much.")}"
            : " The recipe sets no limit.";
        return $"{subject} {quality.Metric} is {Figures.Metric(quality.After)}, and was {Figures.Metric(quality.Before)}: {Change(quality)}.{limit}";
    }
}
