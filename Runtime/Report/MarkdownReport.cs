using System.Text;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>Tells what a build did to a model in a few lines of Markdown, for pull requests.</summary>
public static class MarkdownReport
{
    /// <summary>The text <c>report.md</c>; the same input gives the same text.</summary>
    /// <param name="manifest">What the artifact is.</param>
    /// <param name="facts">What the run knows beside it.</param>
    /// <returns>GitHub-flavoured Markdown.</returns>
    public static string Write(Manifest manifest, RunFacts facts)
    {
        var layers = ReportLayer.All(manifest, facts);
        IEnumerable<string>[] parts = [Headline(manifest), Warnings(manifest), Training(manifest), Analysis(manifest), Worst(layers), Budget(manifest), Layers(layers), Exports(manifest), Provenance(manifest, facts, layers)];
        var text = new StringBuilder();
        foreach (string line in parts.SelectMany(part => part))
        {
            text.Append(line).Append('\n');
        }

        return text.ToString();
    }

    private static IEnumerable<string> Headline(Manifest manifest)
    {
        var (before, after) = manifest.Bytes;
        yield return $"## {Plain(manifest.Recipe)} · {Code(manifest.Model)}";
        yield return "";
        yield return Verdict.Sentence(manifest);
        yield return "";
        yield return "| | Before | After | Change |";
        yield return "|---|--:|--:|--:|";
        yield return manifest.Training?.Adapter is { } adapter
            ? Row("Size", Figures.Bytes(before), $"+ {Figures.Bytes(adapter.Bytes)}", $"an adapter of {Figures.Percent(before > 0 ? (double)adapter.Bytes / before : null)}")
            : Row("Size", Figures.Bytes(before), Figures.Bytes(after), after < before ? Figures.Ratio(before, after) + " smaller" : "not smaller");
        if (manifest.Quality is { } quality)
        {
            string gate = Verdict.Passed(manifest) switch { true => " ✓ passed", false => " ✗ failed", null => "" };
            string limit = quality.MaxRegression is { } most ? $" (limit +{Figures.Limit(most)})" : "";
            yield return Row("Quality: " + Plain(quality.Metric), Figures.Metric(quality.Before), Figures.Metric(quality.After), $"loss {Figures.Change(quality.Regression)}{limit}{gate}");
        }

        yield return "";
    }

    private static IEnumerable<string> Warnings(Manifest manifest) => manifest.Warnings.Count == 0
        ? []
        : manifest.Warnings.Select(warning => "- " + Plain(warning)).Prepend("").Prepend($"### {Figures.Count(manifest.Warnings.Count, "warning")}").Append("");

    private static IEnumerable<string> Training(Manifest manifest)
    {
        if (manifest.Training is not { } training)
        {
            yield break;
        }

        yield return "### How training went";
        yield return "";
        foreach (string sentence in TrainingText.Sentences(training))
        {
            yield return Plain(sentence);
            yield return "";
        }
    }

    private static IEnumerable<string> Analysis(Manifest manifest)
    {
        if (manifest.Analysis is not { } analysis)
        {
            yield break;
        }

        yield return "### What the weights show";
        yield return "";
        foreach (string sentence in AnalysisText.Sentences(manifest))
        {
            yield return Plain(sentence);
            yield return "";
        }

        foreach (var (columns, rows) in new[] { (AnalysisText.IntruderColumns, AnalysisText.Intruders(analysis).ToList()), (AnalysisText.ChannelColumns, AnalysisText.Channels(analysis).ToList()) })
        {
            if (rows.Count == 0)
            {
                continue;
            }

            yield return $"| {string.Join(" | ", columns)} |";
            yield return $"|---|{string.Concat(columns.Skip(1).Select(_ => "--:|"))}";
            foreach (var row in rows)
            {
                yield return Row([.. row.Select(Plain)]);
            }

            yield return "";
        }
    }

    private static IEnumerable<string> Worst(IReadOnlyList<ReportLayer> layers)
    {
        var worst = Verdict.Worst(layers, Verdict.WorstCount);
        if (worst.Count == 0)
        {
            yield break;
        }

        yield return "### What to look at first";
        yield return "";
        yield return "Relative error times size is largest in these layers.";
        yield return "";
        foreach (var layer in worst)
        {
            yield return $"1. {Code(layer.Record.Path)}: error {Figures.Percent(layer.RelativeError)}, {Figures.Bytes(layer.Record.BytesBefore)} → {Figures.Bytes(layer.Record.BytesAfter)}";
        }

        yield return "";
    }

    private static IEnumerable<string> Budget(Manifest manifest)
    {
        if (manifest.Allocation is not { } allocation)
        {
            yield break;
        }

        yield return "### How the budget was spent";
        yield return "";
        foreach (string sentence in BudgetText.Sentences(allocation))
        {
            yield return Plain(sentence);
            yield return "";
        }

        yield return $"| {string.Join(" | ", BudgetText.Columns)} |";
        yield return "|---|---|--:|--:|--:|---|---|---|";
        foreach (var layer in allocation.Layers)
        {
            yield return Row([Code(layer.Path), Code(layer.Choice), .. BudgetText.Cells(allocation, layer).Select(Plain)]);
        }

        yield return "";
    }

    private static IEnumerable<string> Layers(IReadOnlyList<ReportLayer> layers)
    {
        if (layers.Count == 0)
        {
            yield break;
        }

        yield return $"<details><summary>{Figures.Count(layers.Count, "changed layer")}</summary>";
        yield return "";
        yield return "| Layer | Kind | Shape | Steps | Before | After | Ratio | Error | Rank | Solved | Notes |";
        yield return "|---|---|--:|---|--:|--:|--:|--:|--:|---|---|";
        foreach (var layer in layers)
        {
            var record = layer.Record;
            yield return Row(Code(record.Path), Plain(record.Kind), Figures.Shape(record.Shape), Plain(layer.StepNames), Figures.Bytes(record.BytesBefore), Figures.Bytes(record.BytesAfter),
                Figures.Ratio(record.BytesBefore, record.BytesAfter), Figures.Percent(layer.RelativeError), layer.Rank is { } rank ? Figures.Whole(rank) : Figures.Missing,
                layer.Cached ? "cache" : Figures.Seconds(layer.Seconds), Plain(string.Join("; ", record.Notes)));
        }

        yield return "";
        yield return "</details>";
        yield return "";
    }

    private static IEnumerable<string> Exports(Manifest manifest)
    {
        if (manifest.Exports is not { Count: > 0 } exports)
        {
            yield break;
        }

        yield return "### For other programs";
        yield return "";
        yield return "| Format | File | Size | Layers as codes |";
        yield return "|---|---|--:|--:|";
        foreach (var export in exports)
        {
            foreach (var file in export.Files)
            {
                yield return Row(Plain(export.Format), Code(file.Path), Figures.Bytes(file.Bytes), Figures.Whole(export.Quantized.Count));
            }
        }

        yield return "";
        foreach (var (format, sentence) in exports.SelectMany(export => export.Remarks().Select(sentence => (export.Format, sentence))))
        {
            yield return $"- {Plain(format)} {Plain(sentence)}";
        }

        yield return "";
    }

    private static IEnumerable<string> Provenance(Manifest manifest, RunFacts facts, IReadOnlyList<ReportLayer> layers)
    {
        yield return "<details><summary>Provenance and time</summary>";
        yield return "";
        foreach (var (role, source) in manifest.Sources)
        {
            yield return $"- {Plain(role)}: {Code(source.Path)}, {Figures.Bytes(source.Bytes)}, SHA-256 {Code(source.Sha256)}";
        }

        yield return $"- plan: SHA-256 {Code(manifest.Plan)}";
        yield return $"- model.safetensors: SHA-256 {Code(manifest.Weights)}";
        yield return $"- PipelineDsl {Plain(manifest.Engine)}, {Plain(manifest.TensorLibrary)}, device {Plain(manifest.Device)}, seed {Figures.Whole(manifest.Seed)}";
        yield return $"- {Figures.Whole(layers.Count(layer => layer.Cached))} of {Figures.Count(layers.Count, "layer")} from the cache; {string.Join(", ", facts.Seconds.Select(phase => $"{Plain(phase.Phase)} {Figures.Seconds(phase.Seconds)}"))}";
        yield return "- 1 KB = 1024 bytes";
        yield return "";
        yield return "</details>";
    }

    private static string Row(params string[] cells) => "| " + string.Join(" | ", cells) + " |";

    /// <summary>Text that Markdown shows as it is, on one line.</summary>
    private static string Plain(string text)
    {
        var plain = new StringBuilder(text.Length);
        foreach (char letter in OneLine(text))
        {
            plain.Append(letter switch
            {
                '<' => "&lt;",
                '>' => "&gt;",
                '&' => "&amp;",
                '\\' or '`' or '*' or '_' or '[' or ']' or '|' or '#' or '~' or '@' => "\\" + letter,
                _ => letter.ToString(),
            });
        }

        return plain.ToString();
    }

    /// <summary>A code span, fenced by more backticks than the text has in a row.</summary>
    private static string Code(string text)
    {
        string line = OneLine(text).Replace("|", "\\|", StringComparison.Ordinal);
        string fence = "`";
        while (line.Contains(fence, StringComparison.Ordinal))
        {
            fence += "`";
        }

        return fence.Length == 1 ? $"`{line}`" : $"{fence} {line} {fence}";
    }

    private static string OneLine(string text) => string.Concat(text.Select(letter => char.IsControl(letter) ? ' ' : letter));
}
