using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class MarkdownReportTests
{
    private static readonly Manifest Example = ExampleBuild.Manifest;

    [Fact]
    public void Table_has_one_row_a_layer()
    {
        string[] lines = Lines(Example);
        Example.Layers.ShouldAllBe(layer => lines.Count(line => line.StartsWith($"| `{layer.Path}` |", StringComparison.Ordinal)) == 1);
    }

    [Fact]
    public void Rows_have_as_many_cells_as_their_header()
    {
        var manifest = Example with { Layers = [ExampleBuild.Layer("a|b`c") with { Notes = ["x | y"] }] };
        string[] rows = [.. Lines(manifest).SkipWhile(line => !line.StartsWith("| Layer", StringComparison.Ordinal)).TakeWhile(line => line.Length > 0)];
        rows.Length.ShouldBe(3);
        rows.ShouldAllBe(row => row.Replace("\\|", "").Count(letter => letter == '|') == 12);
    }

    [Fact]
    public void Headline_tells_size_quality_and_gate()
    {
        string text = string.Join('\n', Lines(Example));
        text.ShouldContain("| Size | 1.12 MB | 360 KB | 3.18× smaller |");
        text.ShouldContain("| Quality: perplexity | 12.306 | 12.576 | loss +2.19% (limit +5%) ✓ passed |");
    }

    [Fact]
    public void Unmeasured_quality_gets_no_row() => Lines(Example with { Quality = null }).ShouldNotContain(line => line.StartsWith("| Quality", StringComparison.Ordinal));

    [Fact]
    public void Markup_in_names_and_warnings_stays_text()
    {
        string text = string.Join('\n', Lines(Example with { Recipe = "<b>*x*</b>", Warnings = ["see <script> and @team\n# not a title"] }));
        text.ShouldNotContain("<script>");
        text.ShouldContain("## &lt;b&gt;\\*x\\*&lt;/b&gt;");
        text.ShouldContain("- see &lt;script&gt; and \\@team \\# not a title");
    }

    [Fact]
    public void Provenance_names_every_source()
    {
        string text = string.Join('\n', Lines(Example));
        Example.Sources.Values.ShouldAllBe(source => text.Contains(source.Sha256));
        text.ShouldContain(Example.Plan);
    }

    [Fact]
    public void Same_input_gives_the_same_text() => MarkdownReport.Write(Example, ExampleBuild.Facts).ShouldBe(MarkdownReport.Write(Example, ExampleBuild.Facts));

    private static string[] Lines(Manifest manifest) => MarkdownReport.Write(manifest, ExampleBuild.Facts).Split('\n');
}
