using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Xml;
using System.Xml.Linq;
using PipelineDsl.Dsl.Tests;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;
using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class JsonReportTests
{
    /// <summary>Where the report holds what a section of the page shows.</summary>
    private static readonly Dictionary<string, string[]> Sections = new()
    {
        ["training"] = ["training"],
        ["analysis"] = ["analysis"],
        ["first"] = ["warnings", "lookFirst"],
        ["bytes"] = ["bytes", "maps"],
        ["loss"] = ["loss"],
        ["tradeoff"] = ["tradeOff"],
        ["budget"] = ["budget"],
        ["layers"] = ["layers", "kept"],
        ["spectra"] = ["layers"],
        ["exports"] = ["exports"],
        ["time"] = ["run"],
        ["provenance"] = ["provenance"],
    };

    /// <summary>Where a layer of the report holds what a column of the page's table sorts by.</summary>
    private static readonly Dictionary<string, Func<JsonNode, JsonNode, double?>> Columns = new()
    {
        ["Shape"] = (layer, _) => layer["shape"]!.AsArray().Aggregate(1.0, (product, size) => product * size!.GetValue<long>()),
        ["Before"] = (layer, _) => Number(layer["bytesBefore"]),
        ["After"] = (layer, _) => Number(layer["bytesAfter"]),
        ["Ratio"] = (layer, _) => Number(layer["bytesBefore"]) / Number(layer["bytesAfter"]),
        ["Relative error"] = (layer, _) => Number(layer["relativeError"]),
        ["Trained change"] = (layer, _) => Number(layer["trainedChange"]),
        ["Predicted loss"] = (layer, _) => Number(layer["predictedLoss"]),
        ["Rank"] = (layer, _) => Number(layer["rank"]),
        ["Time"] = (_, run) => Number(run["seconds"]),
    };

    private static readonly JsonNode Schema = JsonNode.Parse(File.ReadAllText(Documentation.File("docs", "report.schema.json")))!;

    [Fact]
    public void The_schema_is_the_report_as_it_is() => Documentation.CheckFile("report.schema.json", ReportSchema.Write());

    [Theory]
    [MemberData(nameof(ExampleBuild.Variants), MemberType = typeof(ExampleBuild))]
    public void Every_report_keeps_to_the_schema(string variant) => JsonSchemaValidator.Check(Schema, Json(ExampleBuild.Variant(variant))).ShouldBeEmpty();

    [Fact]
    public void The_report_of_a_run_keeps_to_the_schema_and_is_the_same_but_for_the_run()
    {
        using var project = new TwoLayersProject();
        var recipe = TwoLayersProject.Recipe(("first", [new Decompose { Rank = 4 }]), ("second", [new Quantize { Bits = 8, GroupSize = 8 }]));
        var reports = new[] { "one", "two" }.Select(name =>
        {
            var run = project.NewRun(name, name + "-cache");
            run.Execute(new TwoLayersPipeline(recipe));
            var report = JsonNode.Parse(run.Bytes(ArtifactFiles.JsonReport))!.AsObject();
            JsonSchemaValidator.Check(Schema, report).ShouldBeEmpty();
            report["layers"]!.AsArray().Select(layer => layer!["path"]!.GetValue<string>()).ShouldBe(["first", "second"]);
            report["run"]!["cachedLayers"]!.GetValue<int>().ShouldBe(0);
            report.Remove("run").ShouldBeTrue();
            return report.ToJsonString();
        }).ToArray();
        reports[1].ShouldBe(reports[0]);
    }

    [Theory]
    [InlineData("""{ "schema": 1 }""")]
    [InlineData("[]")]
    public void What_is_no_report_breaks_the_schema(string text) => JsonSchemaValidator.Check(Schema, JsonNode.Parse(text)).ShouldNotBeEmpty();

    [Fact]
    public void A_member_that_is_missing_or_unknown_or_of_another_type_breaks_the_schema()
    {
        foreach (string member in Json(ExampleBuild.Manifest).Select(item => item.Key))
        {
            var report = Json(ExampleBuild.Manifest);
            report.Remove(member);
            JsonSchemaValidator.Check(Schema, report).ShouldBe([$" has no '{member}'"]);
            report[member] = JsonNode.Parse("""[{ "path": true }]""");
            JsonSchemaValidator.Check(Schema, report).ShouldNotBeEmpty(member);
        }

        var more = Json(ExampleBuild.Manifest);
        more["note"] = "x";
        JsonSchemaValidator.Check(Schema, more).ShouldBe(["/note is not allowed"]);
    }

    [Theory]
    [MemberData(nameof(ExampleBuild.Variants), MemberType = typeof(ExampleBuild))]
    public void Every_section_of_the_page_is_in_the_report(string variant)
    {
        var manifest = ExampleBuild.Variant(variant);
        var report = Json(manifest);
        var shown = Page(manifest).Element("body")!.Element("main")!.Elements("section").Select(section => (string)section.Attribute("id")!).ToList();
        foreach (string section in shown)
        {
            Sections.ShouldContainKey(section, $"the page shows '{section}': say where the report holds it");
            Sections[section].ShouldAllBe(member => report.ContainsKey(member));
            Sections[section].ShouldContain(member => report[member] is JsonObject || (report[member] is JsonArray && report[member]!.AsArray().Count > 0), section);
        }
    }

    [Fact]
    public void Every_figure_of_the_table_of_layers_is_in_the_report()
    {
        var report = Json(ExampleBuild.Manifest);
        var table = Page(ExampleBuild.Manifest).Descendants("table").Single(table => table.Attribute("data-sortable") != null);
        string[] columns = [.. table.Element("thead")!.Descendants("th").Select(header => header.Value)];
        columns.ShouldContain("Rank");
        columns.ShouldContain("Time");
        foreach (var (row, i) in table.Element("tbody")!.Elements("tr").Select((row, i) => (row, i)))
        {
            var layer = report["layers"]![i]!;
            var run = report["run"]!["layers"]![i]!;
            row.Element("th")!.Value.ShouldBe(layer["path"]!.GetValue<string>());
            run["path"]!.GetValue<string>().ShouldBe(layer["path"]!.GetValue<string>());
            foreach (var (cell, column) in row.Elements().Zip(columns).Where(item => item.First.Attribute("data-value") != null))
            {
                double.Parse((string)cell.Attribute("data-value")!, CultureInfo.InvariantCulture).ShouldBe(Columns[column](layer, run) ?? -1, 1e-12, column);
            }

            row.Value.ShouldContain(run["cached"]!.GetValue<bool>() ? "from cache" : "computed");
            layer["steps"]!.AsArray().ShouldAllBe(step => row.Value.Contains(step!.GetValue<string>()));
            layer["notes"]!.AsArray().ShouldAllBe(note => row.Value.Contains(note!.GetValue<string>()));
        }
    }

    [Theory]
    [InlineData("compression")]
    [InlineData("large")]
    public void The_maps_of_the_page_are_in_the_report(string variant)
    {
        var manifest = ExampleBuild.Variant(variant);
        var maps = Json(manifest)["maps"]!;
        foreach (var (drawing, map) in Page(manifest).Descendants("svg").Where(drawing => (string?)drawing.Attribute("class") == "map").Zip(new[] { maps["before"]!, maps["after"]! }))
        {
            var cells = drawing.Elements("a").ToList();
            var tiles = map["tiles"]!.AsArray();
            tiles.Count.ShouldBe(cells.Count);
            foreach (var (cell, tile) in cells.Zip(tiles))
            {
                ((string)cell.Attribute("aria-label")!).ShouldStartWith(tile!["path"]!.GetValue<string>() + ", ");
                ((string)cell.Element("polygon")!.Attribute("points")!).Split(' ', ',').Select(number => double.Parse(number, CultureInfo.InvariantCulture)).ShouldBe(tile["corners"]!.AsArray().Select(number => number!.GetValue<double>()));
            }

            tiles.Sum(tile => tile!["bytes"]!.GetValue<long>()).ShouldBe(map["bytes"]!.GetValue<long>());
        }
    }

    [Fact]
    public void Shares_of_the_loss_and_the_curve_are_in_the_report()
    {
        var report = Json(ExampleBuild.Manifest);
        report["layers"]!.AsArray().Sum(layer => layer!["lossShare"]!.GetValue<double>()).ShouldBe(1, 1e-12);
        report["loss"]!["basis"]!.GetValue<string>().ShouldBe("errorTimesBytes");
        report["loss"]!["blocks"]!.AsArray().Sum(block => block!["share"]!.GetValue<double>()).ShouldBe(1, 1e-12);
        report["loss"]!["names"]!.AsArray().Sum(name => name!["share"]!.GetValue<double>()).ShouldBe(1, 1e-12);
        report["tradeOff"]!["basis"]!.GetValue<string>().ShouldBe("spectra");
        Json(ExampleBuild.Variant("budget"))["tradeOff"]!["basis"]!.GetValue<string>().ShouldBe("allocation");
    }

    [Fact]
    public void Headline_and_provenance_are_in_the_report()
    {
        var report = Json(ExampleBuild.Manifest);
        string page = Page(ExampleBuild.Manifest).Value;
        report["verdict"]!["passed"]!.GetValue<bool>().ShouldBeTrue();
        page.ShouldContain(report["verdict"]!["text"]!.GetValue<string>());
        foreach (string member in new[] { "engine", "tensorLibrary", "device", "plan", "weights" })
        {
            page.ShouldContain(report["provenance"]![member]!.GetValue<string>());
        }

        report["provenance"]!["sources"]!.AsObject().ShouldAllBe(source => page.Contains(source.Value!["sha256"]!.GetValue<string>()));
        report["lookFirst"]!.AsArray().Count.ShouldBe(5);
        report["layers"]!.AsArray().Sum(layer => layer!["attentionShare"]!.GetValue<double>()).ShouldBe(1, 1e-12);
        report["run"]!["seconds"]!.GetValue<double>().ShouldBe(7.91, 1e-9);
    }

    [Fact]
    public void A_number_that_is_not_finite_is_null()
    {
        var report = Json(ExampleBuild.Manifest with { Quality = ExampleBuild.Manifest.Quality! with { After = double.NaN, Regression = double.PositiveInfinity } });
        report["quality"]!["after"].ShouldBeNull();
        report["quality"]!["regression"].ShouldBeNull();
        report["quality"]!["before"]!.GetValue<double>().ShouldBe(12.3061);
        report["verdict"]!["passed"]!.GetValue<bool>().ShouldBeFalse();
        JsonSchemaValidator.Check(Schema, report).ShouldBeEmpty();
    }

    [Fact]
    public void A_report_is_read_back_as_it_was_written()
    {
        string text = JsonReport.Write(ExampleBuild.Manifest, ExampleBuild.Facts);
        (JsonSerializer.Serialize(JsonSerializer.Deserialize<ReportDocument>(text, JsonReport.Options), JsonReport.Options) + "\n").ShouldBe(text);
    }

    private static double? Number(JsonNode? value) => value?.GetValue<double>();

    private static JsonObject Json(Manifest manifest) => JsonNode.Parse(JsonReport.Write(manifest, ExampleBuild.Facts))!.AsObject();

    private static XElement Page(Manifest manifest)
    {
        using var reader = XmlReader.Create(new StringReader(HtmlReport.Write(manifest, ExampleBuild.Facts)), new() { DtdProcessing = DtdProcessing.Ignore });
        return XElement.Load(reader);
    }
}
