using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Tells what a build did to a model, as one web page that needs no other file and no network.</summary>
public static partial class HtmlReport
{
    /// <summary>The page <c>report.html</c>; the same input gives the same text.</summary>
    /// <param name="manifest">What the artifact is.</param>
    /// <param name="facts">What the run knows beside it.</param>
    /// <returns>HTML that is also well-formed XML.</returns>
    public static string Write(Manifest manifest, RunFacts facts)
    {
        var layers = ReportLayer.All(manifest, facts);
        (string Id, string Title, IEnumerable<object?> Content)[] sections =
        [
            ("training", "How training went", Training(manifest)),
            ("analysis", "What the weights show", Analysis(manifest)),
            ("first", "What to look at first", First(manifest, layers)),
            ("bytes", "Where the bytes are", Bytes(manifest, layers)),
            ("loss", "Where the loss comes from", Loss(manifest, layers)),
            ("tradeoff", "What other sizes would lose", TradeOffs(manifest, layers)),
            ("budget", "How the budget was spent", Budget(manifest)),
            ("layers", "Layers", Layers(manifest, layers)),
            ("spectra", "Where the cuts are", Spectra(layers)),
            ("exports", "For other programs", Exports(manifest)),
            ("time", "Where the time went", Time(facts, layers)),
            ("provenance", "Provenance", Provenance(manifest)),
        ];
        var shown = sections.Select(section => (section.Id, section.Title, Content: section.Content.ToList())).Where(section => section.Content.Count > 0).ToList();
        return Document(E("html", A("lang", "en"), "\n", Head($"{manifest.Recipe} · {manifest.Model}"), "\n", E("body",
            E("header", Headline(manifest, facts, layers), E("nav", A("aria-label", "Sections"), shown.Select(section => new object[] { E("a", A("href", "#" + section.Id), section.Title), " " }))),
            "\n",
            E("main", shown.Select(section => new object[] { Section(section.Id, section.Title, section.Content), "\n" })),
            E("footer", E("p", $"Written by PipelineDsl {manifest.Engine}. 1 KB = 1024 bytes. Relative error is the distance between the old and the new weight, divided by the size of the old one; 0% is lossless.")),
            Raw("script", Resource("report.js")))));
    }

    /// <summary>The head of a page in the report's style.</summary>
    internal static XElement Head(string title) => E("head",
        E("meta", A("charset", "utf-8")),
        E("meta", A("name", "viewport"), A("content", "width=device-width, initial-scale=1")),
        E("meta", A("name", "color-scheme"), A("content", "light dark")),
        E("title", title),
        Raw("style", Resource("report.css")));

    private static XElement Section(string id, string title, IEnumerable<object?> content) =>
        E("section", A("id", id), A("aria-labelledby", id + "-title"), E("h2", A("id", id + "-title"), title), content);

    private static IEnumerable<XElement?> Headline(Manifest manifest, RunFacts facts, IReadOnlyList<ReportLayer> layers)
    {
        yield return E("p.kicker", manifest.Training is null ? "Model compression report" : "Fine-tuning report");
        yield return E("h1", manifest.Recipe, E("span.model", manifest.Model));
        yield return E("p.lead", Verdict.Sentence(manifest));
        yield return E("div.figures", manifest.Training?.Adapter is { } adapter ? Adapter(adapter, manifest.Bytes.Before) : Size(manifest.Bytes), manifest.Quality is { } quality ? Quality(quality) : null, Duration(facts, layers), Gate(manifest));
    }

    private static XElement Size(ByteTotals bytes) => E("section.figure", A("aria-label", "Size"),
        E("h2", "Size"),
        E("p.value", Figures.Bytes(bytes.After)),
        E("p.from", $"from {Figures.Bytes(bytes.Before)}, ", E("strong", bytes.After < bytes.Before ? Figures.Ratio(bytes.Before, bytes.After) + " smaller" : "not smaller")),
        LayerTable.Bar(bytes.Before > 0 ? (double)bytes.After / bytes.Before : 1));

    private static XElement Adapter(AdapterRecord adapter, long model) => E("section.figure", A("aria-label", "Adapter"),
        E("h2", "Adapter"),
        E("p.value", Figures.Bytes(adapter.Bytes)),
        E("p.from", $"beside a model of {Figures.Bytes(model)}, ", E("strong", model > 0 ? Figures.Percent((double)adapter.Bytes / model) : Figures.Missing)),
        LayerTable.Bar(model > 0 ? (double)adapter.Bytes / model : 1));

    private static XElement Quality(QualityRecord quality) => E("section.figure", A("aria-label", "Quality"),
        E("h2", quality.Metric),
        E("p.value", Figures.Metric(quality.After)),
        E("p.from", $"from {Figures.Metric(quality.Before)}, ", E("strong", Verdict.Change(quality))));

    private static XElement Duration(RunFacts facts, IReadOnlyList<ReportLayer> layers) => E("section.figure", A("aria-label", "Time"),
        E("h2", "Time"),
        E("p.value", Figures.Seconds(facts.Seconds.Sum(phase => phase.Seconds))),
        E("p.from", $"{Figures.Whole(layers.Count(layer => layer.Cached))} of {Figures.Count(layers.Count, "layer")} ", E("strong", "from the cache")));

    private static XElement? Gate(Manifest manifest)
    {
        if (manifest.Quality is not { MaxRegression: { } limit } quality)
        {
            return null;
        }

        bool passed = Verdict.Passed(manifest) is true;
        return E("section.figure." + (passed ? "pass" : "fail"), A("aria-label", "Quality gate"),
            E("h2", "Quality gate"),
            E("p.value", passed ? "✓ Passed" : "✗ Failed"),
            E("p.from", $"{Figures.Change(quality.Regression)} of at most +{Figures.Limit(limit)}"),
            LayerTable.Bar(limit > 0 ? quality.Regression / limit : passed ? 0 : 1));
    }

    private static string Resource(string name)
    {
        using var stream = typeof(HtmlReport).Assembly.GetManifestResourceStream("PipelineDsl.Runtime.Report." + name)
            ?? throw new InvalidOperationException($"The library was built without its resource '{name}'.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }
}
