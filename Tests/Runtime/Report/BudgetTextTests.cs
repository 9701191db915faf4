using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class BudgetTextTests
{
    private static readonly AllocationRecord Allocation = ExampleBuild.Allocation;

    private static readonly Manifest Example = ExampleBuild.Variant("budget");

    [Fact]
    public void The_report_tells_why_each_layer_got_what_it_got()
    {
        string[] lines = [.. MarkdownReport.Write(Example, ExampleBuild.Facts).Split('\n').SkipWhile(line => line != "### How the budget was spent").TakeWhile(line => !line.StartsWith("<details>", StringComparison.Ordinal)).Where(line => line.Length > 0)];
        lines.ShouldBe(
        [
            "### How the budget was spent",
            "The budget 200 KB allows 200 KB for all tensors of the artifact (1 KB = 1024 bytes); 200 KB are used. The smallest that this recipe can meet is 99.0 KB.",
            "Ranks, bits and configurations were chosen so that the predicted loss of the model on the calibration data is least: each layer's share of energy given up, in the metric of its steps, times how much that loss answers to it with all layers compressed.",
            "The sum of the layers' parts is 0.0312; with all layers compressed at once the loss rose by 0.0331.",
            "Loss gained by each plan: 3 bits 0.0902; round 1 0.0331.",
            "Why a layer got what it got: beside its choice stand the best one in fewer bytes and the cheapest one that loses less, each with its bytes and with what it was taken to cost.",
            "| Layer | Choice | Size | Predicted | Measured | Next cheaper | Next dearer | Why |",
            "|---|---|--:|--:|--:|---|---|---|",
            "| `model.layers.0.mlp.up_proj` | `quantize { bits: 3, groupSize: 32 }` | 4.70 KB | 0.0119 | 0.0123 | 2 bits: 3.36 KB, 0.0834 | 4 bits: 6.05 KB, 0.0024 | 0.0123 of the calibration loss gained; 0.0311 of the energy in its metric given up |",
            "| `model.layers.0.self_attn.q_proj` | `decompose { rank: 12 } \\| quantize { bits: 8, groupSize: 32 }` | 1.59 KB | 0.0201 | 0.0189 | – | rank 16, 8 bits: 2.13 KB, 0.0144 | 0.0189 of the calibration loss gained; 0.1204 of the energy in its metric given up |",
        ]);
    }

    [Fact]
    public void The_page_has_the_same_table()
    {
        string page = HtmlReport.Write(Example, ExampleBuild.Facts);
        foreach (string column in BudgetText.Columns)
        {
            page.ShouldContain($">{column}</th>");
        }

        foreach (string cell in Allocation.Layers.SelectMany(layer => BudgetText.Cells(Allocation, layer)))
        {
            page.ShouldContain($"<td>{cell}</td>");
        }
    }

    [Fact]
    public void What_was_not_predicted_or_not_measured_is_not_told()
    {
        var layer = Allocation.Layers[0];
        BudgetText.Cells(Allocation with { Method = "measured" }, layer)[1..3].ShouldBe(["–", "0.0123"]);
        BudgetText.Cells(Allocation with { MeasuredDistortion = null }, layer)[1..3].ShouldBe(["0.0119", "–"]);
        var uniform = Allocation with { Method = "uniform", MeasuredDistortion = null, Layers = [new(layer.Path, layer.Choice, layer.Bytes, null, "4 bits: an equal share")] };
        BudgetText.Cells(uniform, uniform.Layers[0]).ShouldBe(["4.70 KB", "–", "–", "–", "–", "4 bits: an equal share"]);
        BudgetText.Sentences(uniform).ShouldNotContain(sentence => sentence.StartsWith("Why", StringComparison.Ordinal));
    }

    [Fact]
    public void A_manifest_keeps_the_choices_and_one_without_them_is_still_read()
    {
        using var folder = new Formats.TemporaryFolder();
        File.WriteAllText(Path.Combine(folder.Path, ArtifactFiles.Manifest), ManifestFile.Write(Example));
        ManifestFile.Read(folder.Path).Allocation!.Layers.ShouldBe(Allocation.Layers);
        ManifestFile.Read(folder.Path).Allocation!.TradeOff.ShouldBe(Allocation.TradeOff);
        var bare = Example with { Allocation = Allocation with { Layers = [new("a", "keep", 1, null, "an equal share")] } };
        File.WriteAllText(Path.Combine(folder.Path, ArtifactFiles.Manifest), ManifestFile.Write(bare).Replace("\"chosen\": null,", "").Replace("\"cheaper\": null,", "").Replace("\"dearer\": null,", ""));
        ManifestFile.Read(folder.Path).Allocation!.Layers.ShouldBe(bare.Allocation!.Layers);
    }
}
