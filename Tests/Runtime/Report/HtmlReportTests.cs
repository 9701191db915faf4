using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed partial class HtmlReportTests
{
    private static readonly Manifest Example = ExampleBuild.Manifest;

    [Fact]
    public void Page_is_well_formed() => Page(Example).Name.LocalName.ShouldBe("html");

    [Fact]
    public void Page_has_a_row_and_two_tiles_for_every_layer()
    {
        var page = Page(Example);
        foreach (int number in Enumerable.Range(1, Example.Layers.Count))
        {
            var row = page.Descendants("tr").Where(row => (string?)row.Attribute("id") == $"layer-{number}").ShouldHaveSingleItem();
            row.Element("th")!.Value.ShouldBe(Example.Layers[number - 1].Path);
            page.Descendants("a").Count(tile => (string?)tile.Attribute("data-layer") == $"layer-{number}").ShouldBe(2);
        }
    }

    [Fact]
    public void Page_names_every_kept_tensor_and_every_source()
    {
        string text = Page(Example).Value;
        Example.Kept.ShouldAllBe(tensor => text.Contains(tensor.Name));
        Example.Sources.Values.ShouldAllBe(source => text.Contains(source.Sha256) && text.Contains(source.Path));
        text.ShouldContain(Example.Plan);
        text.ShouldContain(Example.Weights);
    }

    [Fact]
    public void Page_needs_no_network()
    {
        string html = Write(Example);
        NetworkReference().IsMatch(html).ShouldBeFalse();
        Page(Example).Descendants("a").ShouldAllBe(link => ((string)link.Attribute("href")!).StartsWith('#'));
        html.Length.ShouldBeLessThan(300_000);
    }

    [Fact]
    public void Links_and_labels_lead_to_something()
    {
        var page = Page(Example);
        string[] ids = [.. page.Descendants().Attributes("id").Select(id => id.Value)];
        ids.ShouldBeUnique();
        var targets = page.Descendants("a").Attributes("href").Select(href => href.Value[1..])
            .Concat(page.Descendants().Attributes("aria-labelledby").SelectMany(label => label.Value.Split(' ')));
        targets.ShouldAllBe(target => ids.Contains(target));
    }

    [Fact]
    public void Drawings_and_tables_tell_screen_readers_what_they_are()
    {
        var page = Page(Example);
        page.Descendants("svg").ShouldAllBe(drawing => drawing.Element("title") != null && drawing.Element("desc") != null);
        page.Descendants("svg").ShouldAllBe(drawing => (string?)drawing.Attribute("role") == (IsMap(drawing) ? "group" : "img"));
        page.Descendants("svg").Count(IsMap).ShouldBe(2);
        page.Descendants("table").ShouldAllBe(table => table.Element("caption") != null);
        page.Descendants("th").ShouldAllBe(header => header.Attribute("scope") != null);
    }

    [Theory]
    [MemberData(nameof(ExampleBuild.Variants), MemberType = typeof(ExampleBuild))]
    public void Every_page_is_one_file_of_less_than_two_megabytes(string variant)
    {
        var manifest = ExampleBuild.Variant(variant);
        string html = Write(manifest);
        NetworkReference().IsMatch(html).ShouldBeFalse();
        Encoding.UTF8.GetByteCount(html).ShouldBeLessThan(2_000_000);
        Page(manifest).Name.LocalName.ShouldBe("html");
    }

    [Fact]
    public void The_large_page_has_a_model_of_five_hundred_layers() => ExampleBuild.Variant("large").Layers.Count.ShouldBeGreaterThan(500);

    [Fact]
    public void Headline_tells_bytes_quality_time_and_outcome()
    {
        var figures = Page(Example).Descendants("section").Where(section => ((string?)section.Attribute("class"))?.StartsWith("figure", StringComparison.Ordinal) == true)
            .ToDictionary(section => (string)section.Attribute("aria-label")!, section => section.Elements("p").First().Value);
        figures.ShouldBe(new Dictionary<string, string> { ["Size"] = "360 KB", ["Quality"] = "12.576", ["Time"] = "7.91 s", ["Quality gate"] = "✓ Passed" });
        Page(ExampleBuild.Variant("failed")).Value.ShouldContain("✗ Failed");
    }

    [Fact]
    public void Cells_of_the_maps_are_reached_by_keyboard_and_say_what_they_are()
    {
        var page = Page(Example);
        foreach (var map in page.Descendants("svg").Where(IsMap))
        {
            var cells = map.Elements("a").ToList();
            cells.Count.ShouldBeGreaterThanOrEqualTo(Example.Layers.Count + 1);
            cells.ShouldAllBe(cell => ((string)cell.Attribute("href")!).StartsWith('#') && cell.Element("polygon") != null && cell.Element("title") != null);
            foreach (var (cell, layer) in cells.Zip(Example.Layers))
            {
                ((string)cell.Attribute("aria-label")!).ShouldStartWith(layer.Path + ", ");
                ((string)cell.Attribute("aria-label")!).ShouldContain("relative error");
            }
        }

        string script = page.Descendants("script").Single().Value;
        new[] { "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End", "tabindex", "focus" }.ShouldAllBe(word => script.Contains(word));
        page.Descendants("div").Where(frame => (string?)frame.Attribute("class") == "scroll").ShouldAllBe(frame =>
            (string?)frame.Attribute("tabindex") == "0" && (string?)frame.Attribute("role") == "region" && (frame.Attribute("aria-label") ?? frame.Attribute("aria-labelledby")) != null);
    }

    [Fact]
    public void Page_is_made_for_dark_and_light_and_for_a_phone()
    {
        var page = Page(Example);
        page.Descendants("meta").ShouldContain(meta => (string?)meta.Attribute("name") == "viewport" && ((string)meta.Attribute("content")!).Contains("width=device-width"));
        page.Descendants("meta").ShouldContain(meta => (string?)meta.Attribute("name") == "color-scheme" && (string?)meta.Attribute("content") == "light dark");
        string style = page.Descendants("style").Single().Value;
        style.ShouldContain("@media (prefers-color-scheme: dark)");
        style.ShouldContain("@media (max-width: 640px)");
        style.ShouldContain("@media (prefers-reduced-motion: reduce)");
        style.ShouldContain(":focus-visible");

        // Every colour is a variable, and every variable of the light page has a dark one.
        string[] Declared(string block) => [.. Variable().Matches(block).Select(match => match.Groups[1].Value).Distinct().Order(StringComparer.Ordinal)];
        int dark = style.IndexOf("@media (prefers-color-scheme: dark)", StringComparison.Ordinal);
        int end = style.IndexOf("* {", dark, StringComparison.Ordinal);
        Declared(style[dark..end]).ShouldBe(Declared(style[..dark]));
        Colour().IsMatch(style[end..]).ShouldBeFalse();
    }

    [Fact]
    public void Page_tells_where_the_loss_comes_from()
    {
        var section = Section(Page(Example), "loss");
        section.Value.ShouldContain("relative error times size");
        section.Descendants("caption").Count(caption => !caption.Value.EndsWith("continued", StringComparison.Ordinal)).ShouldBe(3);
        foreach (string block in Example.Layers.Select(layer => layer.Path).Where(path => path.Contains(".layers.", StringComparison.Ordinal)).Select(path => string.Join('.', path.Split('.').Take(3))).Distinct())
        {
            section.Descendants("th").ShouldContain(cell => cell.Value == block);
        }

        section.Descendants("a").Select(link => (string)link.Attribute("href")!).Order(StringComparer.Ordinal).ShouldBe(Enumerable.Range(1, Example.Layers.Count).Select(i => $"#layer-{i}").Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Page_draws_what_other_sizes_would_lose_and_tells_it_in_a_table()
    {
        foreach (string variant in new[] { "compression", "budget" })
        {
            var section = Section(Page(ExampleBuild.Variant(variant)), "tradeoff");
            int points = ((string)section.Descendants("polyline").Single().Attribute("points")!).Split(' ').Length;
            points.ShouldBeGreaterThan(3);
            section.Descendants("tbody").Single().Elements("tr").Count().ShouldBe(points);
            section.Value.ShouldContain("this build");
        }

        Page(ExampleBuild.Variant("nothing")).Descendants("section").ShouldNotContain(section => (string?)section.Attribute("id") == "tradeoff");
    }

    [Fact]
    public void Page_tells_warnings_cache_and_provenance()
    {
        var page = Page(Example);
        Section(page, "first").Value.ShouldContain(Example.Warnings[0]);
        Section(page, "time").Value.ShouldContain("13 of 37 layers came from the cache");
        Section(page, "layers").Descendants("td").Count(cell => cell.Value == "from cache").ShouldBe(13);
        Section(page, "provenance").Value.ShouldContain(Example.Weights);
    }

    [Fact]
    public void Names_from_outside_are_escaped()
    {
        const string Name = "<script>alert(\"1\")</script>&]]>'";
        var manifest = Hostile(Name);
        Write(manifest).ShouldNotContain("<script>alert");
        var page = Page(manifest);
        page.Descendants("script").ShouldHaveSingleItem();
        page.Descendants("h1").Single().Value.ShouldContain(Name);
        page.Descendants("tr").Single(row => row.Attribute("id") != null).Value.ShouldContain(Name);
        page.Descendants("li").ShouldContain(item => item.Value == Name);
    }

    [Fact]
    public void Characters_that_markup_cannot_hold_are_replaced() =>
        Page(Hostile("a\u0001b.c\uD800")).Descendants("h1").Single().Value.ShouldStartWith("a\uFFFDb.c\uFFFD");

    [Fact]
    public void Unmeasured_quality_gets_no_figures()
    {
        var figures = Page(Example with { Quality = null }).Descendants("section").Attributes("aria-label").Select(label => label.Value);
        figures.ShouldBe(["Size", "Time"]);
    }

    [Theory]
    [InlineData(0.05, "✓ Passed")]
    [InlineData(0.0501, "✗ Failed")]
    [InlineData(double.NaN, "✗ Failed")]
    public void Gate_compares_the_loss_of_quality_with_the_limit(double regression, string outcome) =>
        Page(Example with { Quality = Example.Quality! with { Regression = regression } }).Value.ShouldContain(outcome);

    [Fact]
    public void Columns_that_no_layer_fills_are_left_out()
    {
        var manifest = Example with { Layers = [ExampleBuild.Layer("fc") with { Weight = [], Facts = new() { ["relativeError"] = 0.1 } }] };
        var headers = Page(manifest).Descendants("table").Single(table => table.Attribute("data-sortable") != null).Descendants("thead").Descendants("th").Select(header => header.Value).ToList();
        headers.ShouldContain("Relative error");
        headers.ShouldNotContain("Rank");
        headers.ShouldNotContain("Predicted loss");
    }

    [Fact]
    public void Model_without_layers_still_gets_a_page()
    {
        var manifest = ExampleBuild.Variant("nothing");
        Page(manifest).Descendants("section").Attributes("id").Select(id => id.Value).ShouldBe(["time", "provenance"]);
    }

    [Fact]
    public void Growing_layer_is_pointed_out()
    {
        var manifest = Example with { Layers = [ExampleBuild.Layer("fc") with { BytesAfter = 20_480 }], Bytes = new(16_384, 20_480) };
        string text = Page(manifest).Value;
        text.ShouldContain("it grew from 16.0 KB to 20.0 KB");
        text.ShouldContain("nothing is saved");
    }

    [Theory]
    [InlineData(1.0, 0.0, 0.0)]
    [InlineData(3.0, 3.0, 3.0)]
    [InlineData(0.0, 0.0, 0.0)]
    [InlineData(1e300, 1e-300, 0.0)]
    public void Unusual_spectra_are_drawn_within_the_chart_or_not_at_all(double first, double second, double third)
    {
        var page = Page(Example with { Layers = [ExampleBuild.Layer("fc", first, second, third)] });
        foreach (string point in Spectra(page).Descendants("polyline").SelectMany(line => ((string)line.Attribute("points")!).Split(' ')))
        {
            double[] place = [.. point.Split(',').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
            place[0].ShouldBeInRange(0, 200);
            place[1].ShouldBeInRange(0, 96);
        }
    }

    [Fact]
    public void Long_spectra_are_thinned_out()
    {
        var page = Page(Example with { Layers = [ExampleBuild.Layer("fc", [.. Enumerable.Range(0, 4096).Select(i => 1.0 / (1 + i))])] });
        ((string)Spectra(page).Descendants("polyline").Single().Attribute("points")!).Split(' ').Length.ShouldBeLessThanOrEqualTo(SpectrumChart.MaxPoints);
    }

    [Fact]
    public void Same_input_gives_the_same_text() => Write(Example).ShouldBe(Write(Example));

    private static Manifest Hostile(string name) => Example with
    {
        Recipe = name,
        Model = name,
        Device = name,
        Layers = [ExampleBuild.Layer(name, 3, 2, 1) with { Kind = name, Notes = [name], Steps = [name] }],
        Kept = [new(name, [1], 4)],
        Warnings = [name],
        Sources = new() { [name] = new(name, name, 1) },
        Quality = Example.Quality! with { Metric = name },
    };

    private static bool IsMap(XElement drawing) => (string?)drawing.Attribute("class") == "map";

    private static XElement Section(XElement page, string id) => page.Descendants("section").Single(section => (string?)section.Attribute("id") == id);

    private static XElement Spectra(XElement page) => page.Descendants("section").SingleOrDefault(section => (string?)section.Attribute("id") == "spectra") ?? new XElement("none");

    private static string Write(Manifest manifest) => HtmlReport.Write(manifest, ExampleBuild.Facts);

    private static XElement Page(Manifest manifest)
    {
        using var reader = XmlReader.Create(new StringReader(Write(manifest)), new() { DtdProcessing = DtdProcessing.Ignore });
        return XElement.Load(reader);
    }

    [GeneratedRegex(@"(--[\w]+):")]
    private static partial Regex Variable();

    [GeneratedRegex(@":[^;{}]*(#[0-9a-f]{3,8}\b|\brgba?\()", RegexOptions.IgnoreCase)]
    private static partial Regex Colour();

    [GeneratedRegex(@"https?:|src\s*=|@import|\burl\((?!#)|<link|fetch\(", RegexOptions.IgnoreCase)]
    private static partial Regex NetworkReference();
}
