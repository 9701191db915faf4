using System.Globalization;
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
            page.Descendants("g").Count(tile => (string?)tile.Attribute("data-layer") == $"layer-{number}").ShouldBe(2);
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
        html.Length.ShouldBeLessThan(200_000);
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
        page.Descendants("svg").ShouldAllBe(drawing => (string?)drawing.Attribute("role") == "img" && drawing.Element("title") != null && drawing.Element("desc") != null);
        page.Descendants("table").ShouldAllBe(table => table.Element("caption") != null);
        page.Descendants("th").ShouldAllBe(header => header.Attribute("scope") != null);
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
        figures.ShouldBe(["Size"]);
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
        var headers = Page(manifest).Descendants("table").First().Descendants("thead").Descendants("th").Select(header => header.Value).ToList();
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
        foreach (string point in page.Descendants("polyline").SelectMany(line => ((string)line.Attribute("points")!).Split(' ')))
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
        ((string)page.Descendants("polyline").Single().Attribute("points")!).Split(' ').Length.ShouldBeLessThanOrEqualTo(SpectrumChart.MaxPoints);
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

    private static string Write(Manifest manifest) => HtmlReport.Write(manifest, ExampleBuild.Facts);

    private static XElement Page(Manifest manifest)
    {
        using var reader = XmlReader.Create(new StringReader(Write(manifest)), new() { DtdProcessing = DtdProcessing.Ignore });
        return XElement.Load(reader);
    }

    [GeneratedRegex(@"https?:|src\s*=|@import|\burl\((?!#)|<link|fetch\(", RegexOptions.IgnoreCase)]
    private static partial Regex NetworkReference();
}
