using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class LayerMapTests
{
    private const double Canvas = LayerMap.Width * LayerMap.Height;

    [Theory]
    [InlineData("compression")]
    [InlineData("large")]
    public void Equal_areas_are_equal_bytes_in_both_maps(string variant)
    {
        var manifest = ExampleBuild.Variant(variant);
        var (before, after) = LayerMap.Both(ReportLayer.All(manifest, ExampleBuild.Facts), manifest.Kept);
        before.Scale.ShouldBe(1);
        after.Scale.ShouldBeLessThan(1);
        foreach (var map in new[] { before, after })
        {
            map.Tiles.ShouldAllBe(tile => Math.Abs((tile.Polygon.Area / Canvas * before.Bytes / tile.Bytes) - 1) < 1e-9);
            map.Tiles.Sum(tile => tile.Bytes).ShouldBe(map.Bytes);
            map.Tiles.Where(tile => tile.Layer is not null).Select(tile => tile.Path).ShouldBe(manifest.Layers.Select(layer => layer.Path));
            map.ThinnestTile.ShouldBeLessThan(8);
            var (least, most) = map.Slack();
            least.ShouldBeInRange(0, 1);
            most.ShouldBeGreaterThanOrEqualTo(1);
        }
    }

    [Fact]
    public void Layers_of_one_module_lie_in_its_outline()
    {
        var map = Map(["a.x", "a.y.p", "a.y.q", "b.z"], []);
        map.Outlines.Select(outline => outline.Depth).ShouldBe([0, 1, 2]);
        double[] areas = [.. map.Outlines.Select(outline => outline.Polygon.Area / Canvas * 4)];
        areas.Zip([4.0, 3.0, 2.0]).ShouldAllBe(pair => Math.Abs(pair.First - pair.Second) < 1e-9);
        (map.Tiles[1].Polygon.Area + map.Tiles[2].Polygon.Area).ShouldBe(map.Outlines[2].Polygon.Area, 1e-9);
    }

    [Fact]
    public void A_module_that_is_a_layer_itself_and_holds_others_has_a_part_of_its_own() =>
        Map(["block", "block.adapter", "block.adapter.left"], [new("block.bias", [64], 4_096)]).Tiles.Select(tile => tile.Path).ShouldBe(["block", "block.adapter", "block.adapter.left", "block.bias"]);

    [Fact]
    public void Two_parts_of_one_path_lie_side_by_side() => Map(["fc", "fc"], []).Tiles.Count.ShouldBe(2);

    [Fact]
    public void Small_kept_tensors_share_a_part_and_those_without_bytes_are_told_apart()
    {
        var map = Map(["fc"], [new("large", [64, 64], 16_384), new("small.a", [1], 4), new("small.b", [1], 4), new("tied", [0], 0)]);
        map.Tiles.Select(tile => (tile.Path, tile.Bytes)).ShouldBe([("fc", 16_384), ("large", 16_384), (LayerMap.SmallTensors, 8)]);
        map.Empty.ShouldBe(["tied"]);
    }

    [Fact]
    public void Nothing_to_draw_gives_nothing()
    {
        var map = Map([], []);
        map.Tiles.ShouldBeEmpty();
        map.Slack().ShouldBe((1, 1));
    }

    private static LayerMap Map(string[] paths, IReadOnlyList<TensorRecord> kept)
    {
        var manifest = ExampleBuild.Manifest with { Layers = [.. paths.Select(path => ExampleBuild.Layer(path))], Kept = kept };
        return LayerMap.Both(ReportLayer.All(manifest, ExampleBuild.Facts), kept).Before;
    }
}
