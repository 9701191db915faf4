using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <content>The sections below the headline; one without content is left out.</content>
public static partial class HtmlReport
{
    private const int SpectraAtOnce = 8;
    private const int OriginsAtOnce = 10;

    private static IEnumerable<object?> First(Manifest manifest, IReadOnlyList<ReportLayer> layers)
    {
        if (manifest.Warnings.Count > 0)
        {
            yield return E("div.warnings", A("role", "note"), E("h3", E("span", A("aria-hidden", "true"), "⚠ "), Figures.Count(manifest.Warnings.Count, "warning")), E("ul", manifest.Warnings.Select(warning => E("li", warning))));
        }

        double total = layers.Sum(layer => layer.Attention);
        var worst = Verdict.Worst(layers, Verdict.WorstCount);
        if (worst.Count > 0)
        {
            yield return E("p", "These layers lose most: their relative error times their size has the largest share of the total. Give them a higher rank or more bits first.");
            yield return E("ol.worst", worst.Select(layer => E("li",
                Link(layer),
                E("span.note", $"error {Figures.Percent(layer.RelativeError)} over {Figures.Bytes(layer.Record.BytesBefore)}; {Figures.Percent(layer.Attention / total)} of the total"),
                LayerTable.Bar(layer.Attention / worst[0].Attention))));
        }

        var noted = layers.Where(layer => layer.Record.Notes.Count > 0 || layer.Record.BytesAfter > layer.Record.BytesBefore).ToList();
        if (noted.Count > 0)
        {
            yield return E("h3", "Notes on layers");
            yield return E("ul", noted.Select(layer => E("li", Link(layer), ": ", string.Join("; ", Remarks(layer)))));
        }
    }

    private static IEnumerable<string> Remarks(ReportLayer layer) => layer.Record.BytesAfter > layer.Record.BytesBefore
        ? layer.Record.Notes.Append($"it grew from {Figures.Bytes(layer.Record.BytesBefore)} to {Figures.Bytes(layer.Record.BytesAfter)}")
        : layer.Record.Notes;

    private static XElement Link(ReportLayer layer) => E("a.path", A("href", "#" + layer.Anchor), Dotted(layer));

    private static IEnumerable<object?> Training(Manifest manifest)
    {
        if (manifest.Training is not { } training)
        {
            yield break;
        }

        foreach (string sentence in TrainingText.Sentences(training))
        {
            yield return E("p", sentence);
        }

        if (LossChart.IsDrawable(training))
        {
            yield return LossChart.Draw(training);
        }

        if (training.Validation.Count > 0)
        {
            yield return E("details.more",
                E("summary", $"{Figures.Count(training.Validation.Count, "evaluation")} on held-out data"),
                Table("Loss on held-out data", ["Step", "Loss", "Perplexity"], training.Validation.Select(point => (IReadOnlyList<object>)
                    [Figures.Whole(point.Step), Figures.Metric(point.Loss), Figures.Metric(Math.Exp(point.Loss))])));
        }

        if (training.Adapter is { } adapter)
        {
            yield return Table("The adapter's files", ["File", "Size", "SHA-256"], adapter.Files.Select(file => (IReadOnlyList<object>)[file.Path, Figures.Bytes(file.Bytes), E("code", file.Sha256)]));
        }
    }

    private static IEnumerable<object?> Analysis(Manifest manifest)
    {
        if (manifest.Analysis is not { } analysis)
        {
            yield break;
        }

        foreach (string sentence in AnalysisText.Sentences(manifest))
        {
            yield return E("p", sentence);
        }

        foreach (var (caption, columns, rows) in new[]
        {
            ("Intruder dimensions, most first", AnalysisText.IntruderColumns, AnalysisText.Intruders(analysis).ToList()),
            ("Channels between heads as layer.head, strongest first", AnalysisText.ChannelColumns, AnalysisText.Channels(analysis).ToList()),
        })
        {
            if (rows.Count > 0)
            {
                yield return Table(caption, columns, rows);
            }
        }

        if (analysis.Files.Count > 0)
        {
            yield return Table("Tables with all scores", ["File", "Size", "SHA-256"], analysis.Files.Select(file => (IReadOnlyList<object>)[file.Path, Figures.Bytes(file.Bytes), E("code", file.Sha256)]));
        }
    }

    private static IEnumerable<object?> Bytes(Manifest manifest, IReadOnlyList<ReportLayer> layers)
    {
        if (layers.Count + manifest.Kept.Count == 0)
        {
            yield break;
        }

        yield return E("p", "Both maps have the same scale: equal areas are equal bytes, and the empty part of the second is what was saved. Cells of one module lie together, and wider gaps separate outer modules.");
        yield return E("ul.legend", A("aria-label", "Relative error by colour"),
            E("li", "Relative error:"),
            ErrorScale.Labels.Select((label, i) => E("li", E("span.swatch.e" + Figures.Whole(i), A("aria-hidden", "true")), label)),
            E("li", E("span.swatch.hatched", A("aria-hidden", "true")), "kept as it was"));
        yield return new TreemapChart(layers, manifest.Kept).Draw();
    }

    private static IEnumerable<object?> Loss(Manifest manifest, IReadOnlyList<ReportLayer> layers)
    {
        if (LossOrigins.Of(layers, manifest.Allocation) is not { } origins)
        {
            yield break;
        }

        yield return E("p", origins.IsAllocated
            ? "Shares of what the layers cost in the measure by which the budget was spent."
            : "Shares of relative error times size: how much the loss of the model answers to a layer is not known to this recipe.");
        yield return E("div.origins", Shares("By layer, largest first", "Layer", [.. origins.Layers.OrderByDescending(item => item.Share).Select(item => ((object)Link(item.Layer), item.Share))]),
            Shares("By block, in the order of the model", "Block", [.. origins.Blocks.Select(item => ((object)item.Name, item.Share))]),
            Shares("By name of the layer, largest first", "Name", [.. origins.Names.Select(item => ((object)item.Name, item.Share))]));
    }

    private static XElement Shares(string caption, string column, IReadOnlyList<(object Name, double Share)> shares)
    {
        double largest = shares.Max(item => item.Share);
        XElement Rows(IEnumerable<(object Name, double Share)> rows, string title) => Table(title, [column, "Share"], rows.Select(item => (IReadOnlyList<object>)
            [item.Name, new object[] { Figures.Percent(item.Share), LayerTable.Bar(item.Share / largest) }]));
        var first = Rows(shares.Take(OriginsAtOnce), caption);
        return shares.Count <= OriginsAtOnce ? E("div", first) : E("div", first,
            E("details.more", E("summary", $"{Figures.Whole(shares.Count - OriginsAtOnce)} more, {Figures.Percent(shares.Skip(OriginsAtOnce).Sum(item => item.Share))} together"), Rows(shares.Skip(OriginsAtOnce), caption + ", continued")));
    }

    private static IEnumerable<object?> TradeOffs(Manifest manifest, IReadOnlyList<ReportLayer> layers)
    {
        if (TradeOff.Of(manifest, layers) is not { } curve)
        {
            yield break;
        }

        yield return E("p", curve.IsAllocated
            ? "What the allocation foretold for other budgets, in the measure by which it chose. Each point is attainable by the recipe."
            : "All ranks of this build scaled by one factor: the share of energy that the decomposed layers would give up, each counted by its size, as their spectra tell. Other layers stay as they are.");
        yield return TradeOffChart.Draw(curve);
        yield return E("details.more", E("summary", $"{Figures.Count(curve.Points.Count, "point")} of the curve"),
            Table("Loss by size", ["Size", curve.IsAllocated ? "Foretold loss" : "Energy given up"], curve.Points.Select(point => (IReadOnlyList<object>)[Figures.Bytes(point.Bytes), TradeOffChart.Text(curve, point.Loss)])));
    }

    private static IEnumerable<object?> Budget(Manifest manifest)
    {
        if (manifest.Allocation is not { } allocation)
        {
            yield break;
        }

        foreach (string sentence in BudgetText.Sentences(allocation))
        {
            yield return E("p", sentence);
        }

        yield return Table("What each layer got", BudgetText.Columns, allocation.Layers.Select(layer => (IReadOnlyList<object>)
            [layer.Path, E("code", layer.Choice), .. BudgetText.Cells(allocation, layer)]));
    }

    private static IEnumerable<object?> Layers(Manifest manifest, IReadOnlyList<ReportLayer> layers)
    {
        if (layers.Count > 0)
        {
            yield return E("p", "Open the steps of a layer for their settings and the solver's figures.");
            yield return LayerTable.Draw(layers);
        }

        if (manifest.Kept.Count > 0)
        {
            yield return E("details.more",
                E("summary", $"{Figures.Count(manifest.Kept.Count, "tensor")} kept as they were, {Figures.Bytes(manifest.Kept.Sum(tensor => tensor.Bytes))}"),
                Table("Tensors kept as they were", ["Tensor", "Shape", "Size"], manifest.Kept.Select(tensor => (IReadOnlyList<object>)[tensor.Name, Figures.Shape(tensor.Shape), Figures.Bytes(tensor.Bytes)])));
        }
    }

    private static IEnumerable<object?> Spectra(IReadOnlyList<ReportLayer> layers)
    {
        var drawn = layers.Where(SpectrumChart.IsDrawable).OrderByDescending(layer => layer.RelativeError).ToList();
        if (drawn.Count == 0)
        {
            yield break;
        }

        int decades = SpectrumChart.Decades(drawn);
        yield return E("p", "Singular values of each decomposed layer, relative to its largest, on one logarithmic scale; the filled part was kept. A curve that is still high at the cut promises much from a higher rank. Largest error first.");
        yield return E("div.spectra", drawn.Take(SpectraAtOnce).Select(layer => SpectrumChart.Draw(layer, decades)));
        if (drawn.Count > SpectraAtOnce)
        {
            yield return E("details.more", E("summary", Figures.Count(drawn.Count - SpectraAtOnce, "more layer")),
                E("div.spectra", drawn.Skip(SpectraAtOnce).Select(layer => SpectrumChart.Draw(layer, decades))));
        }
    }

    private static IEnumerable<object?> Exports(Manifest manifest)
    {
        if (manifest.Exports is not { Count: > 0 } exports)
        {
            yield break;
        }

        yield return Table("Files in the layouts of other programs", ["File", "Format", "Size", "Layers as codes"], exports.SelectMany(export => export.Files.Select(file => (IReadOnlyList<object>)
            [file.Path, export.Format, Figures.Bytes(file.Bytes), Figures.Whole(export.Quantized.Count)])));
        string[] remarks = [.. exports.SelectMany(export => export.Remarks().Select(sentence => $"{export.Format} {sentence}"))];
        if (remarks.Length > 0)
        {
            yield return E("ul", remarks.Select(remark => E("li", remark)));
        }
    }

    private static IEnumerable<object?> Time(RunFacts facts, IReadOnlyList<ReportLayer> layers)
    {
        double total = facts.Seconds.Sum(phase => phase.Seconds);
        int cached = layers.Count(layer => layer.Cached);
        yield return E("p", $"{Figures.Seconds(total)} in all. {Figures.Whole(cached)} of {Figures.Count(layers.Count, "layer")} came from the cache.");
        if (facts.Seconds.Count > 0)
        {
            yield return Table("Wall time by phase", ["Phase", "Time", "Share"], facts.Seconds.Select(phase => (IReadOnlyList<object>)
                [phase.Phase, Figures.Seconds(phase.Seconds), new object[] { Figures.Percent(total > 0 ? phase.Seconds / total : 0), LayerTable.Bar(total > 0 ? phase.Seconds / total : 0) }]));
        }
    }

    private static IEnumerable<object?> Provenance(Manifest manifest)
    {
        yield return Table("Files that went in", ["Role", "File", "Size", "SHA-256"], manifest.Sources.Select(source => (IReadOnlyList<object>)
            [source.Key, source.Value.Path, Figures.Bytes(source.Value.Bytes), E("code", source.Value.Sha256)]));
        yield return E("dl", Facts(manifest).Select(fact => E("div", E("dt", fact.Name), E("dd", fact.Value))));
    }

    private static IEnumerable<(string Name, object Value)> Facts(Manifest manifest) =>
    [
        ("PipelineDsl", manifest.Engine),
        ("Tensor library", manifest.TensorLibrary),
        ("Device", manifest.Device),
        ("Seed", Figures.Whole(manifest.Seed)),
        ("Plan, SHA-256", E("code", manifest.Plan)),
        ("model.safetensors, SHA-256", E("code", manifest.Weights)),
    ];

    private static XElement Table(string caption, string[] columns, IEnumerable<IReadOnlyList<object>> rows) =>
        E("div.scroll", A("tabindex", "0"), A("role", "region"), A("aria-label", caption), E("table.small",
            E("caption", caption),
            E("thead", E("tr", columns.Select(column => E("th", A("scope", "col"), column)))),
            E("tbody", rows.Select(row => E("tr", E("th", A("scope", "row"), row[0]), row.Skip(1).Select(cell => E("td", cell)))))));
}
