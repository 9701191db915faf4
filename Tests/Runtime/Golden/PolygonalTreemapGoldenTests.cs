using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>The map of a tree under both rules, and the rectangles it is compared with, against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class PolygonalTreemapGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("polygonal-treemap");
    private readonly MapNode root;
    private readonly MapNode[] leaves;

    public PolygonalTreemapGoldenTests()
    {
        var shape = golden["in.leaf_path"].shape;
        long[] flat = golden["in.leaf_path"].data<long>().ToArray();
        double[] weights = golden["in.leaf_weight"].data<double>().ToArray();
        var paths = Enumerable.Range(0, (int)shape[0]).Select(leaf => flat.Skip(leaf * (int)shape[1]).Take((int)shape[1]).TakeWhile(index => index >= 0).ToArray()).ToArray();
        root = Build([.. Enumerable.Range(0, paths.Length)], paths, weights, 0, "");
        var byName = root.Leaves.ToDictionary(leaf => leaf.Name);
        leaves = [.. paths.Select(path => byName["/" + string.Join('/', path)])];
    }

    [Theory]
    [InlineData("aspect")]
    [InlineData("separated")]
    public void Areas_shapes_and_places_of_the_leaves_are_reproduced(string rule)
    {
        var places = new PolygonalTreemap(golden.Integer("directions"), rule == "separated").Divide(root, Polygon.Rectangle(0, 0, golden.Number("width"), golden.Number("height")));
        Polygon[] polygons = [.. leaves.Select(leaf => places[leaf])];
        double[] areas = golden[$"out.{rule}.area"].data<double>().ToArray();
        polygons.Zip(areas).ShouldAllBe(pair => Math.Abs(pair.First.Area - pair.Second) <= 1e-9 * pair.Second);
        polygons.Select(polygon => polygon.Aspect).ToArray().ShouldBeNear(golden[$"out.{rule}.aspect"], 1e-7);
        polygons.SelectMany(polygon => new[] { polygon.Centroid.X, polygon.Centroid.Y }).ToArray().ShouldBeNear(golden[$"out.{rule}.centroid"].reshape(-1), 1e-7);
        polygons.Select(polygon => (long)polygon.Vertices.Count).ShouldBe(golden[$"out.{rule}.vertex_count"].data<long>().ToArray());
        places.Values.Max(polygon => polygon.Aspect).ShouldBeNear(golden.Scalar($"out.{rule}.max_node_aspect"), 1e-7);
    }

    [Fact]
    public void Squarified_rectangles_of_all_leaves_are_reproduced()
    {
        double[] weights = [.. leaves.Select(leaf => leaf.Weight).OrderDescending()];
        var tiles = Treemap.Squarify(weights, new(0, 0, golden.Number("width"), golden.Number("height")));
        tiles.SelectMany(tile => new[] { tile.X, tile.Y, tile.Width, tile.Height }).ToArray().ShouldBeNear(golden["out.squarify_flat.rects"].reshape(-1), 1e-9);
        tiles.Select(tile => tile.Aspect).ToArray().ShouldBeNear(golden["out.squarify_flat.aspect"], 1e-7);
    }

    private static MapNode Build(int[] members, long[][] paths, double[] weights, int depth, string name) => members is [int leaf] && paths[leaf].Length == depth
        ? new(name, weights[leaf], [])
        : new(name, 0, [.. members.GroupBy(member => paths[member][depth]).OrderBy(group => group.Key).Select(group => Build([.. group], paths, weights, depth + 1, name + "/" + group.Key))]);
}
