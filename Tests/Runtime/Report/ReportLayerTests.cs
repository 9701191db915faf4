using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class ReportLayerTests
{
    [Theory]
    [InlineData("""{ "columns": 64, "form": "product", "parts": [{ "columns": 20, "form": "dense", "rows": 64 }, { "columns": 64, "form": "dense", "rows": 20 }], "rows": 64 }""", 20)]
    [InlineData("""{ "columns": 64, "form": "sum", "parts": [{ "columns": 64, "form": "grid" }, { "form": "product", "left": { "columns": 8, "form": "grid" } }] }""", 8)]
    [InlineData("""{ "columns": 64, "form": "grid", "rows": 64 }""", null)]
    [InlineData("""{ "columns": "?", "form": 7 }""", null)]
    public void Rank_is_the_inner_size_of_the_product(string weight, int? rank) =>
        Only(ExampleBuild.Layer("fc") with { Weight = JsonNode.Parse(weight)!.AsObject() }).Rank.ShouldBe(rank);

    [Fact]
    public void Rank_that_the_solver_tells_comes_first() =>
        Only(ExampleBuild.Layer("fc") with { Facts = new() { ["rank"] = 12 } }).Rank.ShouldBe(12);

    [Theory]
    [InlineData("model.layers.3.self_attn.q_proj", "model.layers.3", "layers.3", "q_proj")]
    [InlineData("encoder.attention.query", "encoder.attention", null, "query")]
    [InlineData("features.0", "features.0", null, "0")]
    [InlineData("lm_head", "", null, "lm_head")]
    public void Layers_belong_to_the_block_that_repeats(string path, string block, string? name, string tail)
    {
        var layer = Only(ExampleBuild.Layer(path));
        layer.Block.ShouldBe(block);
        layer.BlockName.ShouldBe(name);
        layer.Name.ShouldBe(tail);
        (layer.Stem + layer.Name).ShouldBe(path);
    }

    [Fact]
    public void Cache_and_time_come_from_the_run()
    {
        var layers = ReportLayer.All(ExampleBuild.Manifest, ExampleBuild.Facts);
        layers.Count(layer => layer.Cached).ShouldBe(ExampleBuild.Facts.CachedLayers.Count);
        layers.ShouldAllBe(layer => layer.Cached == (layer.Seconds == null));
    }

    [Fact]
    public void Layers_to_look_at_first_are_those_with_most_error_times_size()
    {
        var worst = Verdict.Worst(ReportLayer.All(ExampleBuild.Manifest, ExampleBuild.Facts), 3);
        worst[0].Record.Path.ShouldBe("model.embed_tokens");
        worst.Select(layer => layer.Attention).ShouldBeInOrder(SortDirection.Descending);
    }

    private static ReportLayer Only(LayerRecord record) => ReportLayer.All(ExampleBuild.Manifest with { Layers = [record] }, ExampleBuild.Facts).Single();
}
