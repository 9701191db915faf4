using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class PolygonalTreemapTests
{
    private static readonly Polygon Square = Polygon.Rectangle(0, 0, 1, 1);

    public static TheoryData<string> Kinds => ["spread over 1e7", "geometric", "zipf", "equal", "nested"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_leaf_gets_its_share_of_the_area(string kind)
    {
        var root = Tree(kind);
        var places = new PolygonalTreemap().Divide(root, Square);
        foreach (var leaf in root.Leaves)
        {
            (places[leaf].Area * root.Weight / leaf.Weight).ShouldBe(1, 1e-9, leaf.Name);
        }

        foreach (var group in places.Keys.Where(node => node.Children.Count > 0))
        {
            (group.Children.Sum(child => places[child].Area) / places[group].Area).ShouldBe(1, 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_part_is_convex(string kind)
    {
        foreach (var polygon in new PolygonalTreemap().Divide(Tree(kind), Square).Values)
        {
            for (int i = 0; i < polygon.Vertices.Count; i++)
            {
                var (a, b, c) = (polygon.Vertices[i], polygon.Vertices[(i + 1) % polygon.Vertices.Count], polygon.Vertices[(i + 2) % polygon.Vertices.Count]);
                double turn = ((b.X - a.X) * (c.Y - b.Y)) - ((b.Y - a.Y) * (c.X - b.X));
                (turn / (polygon.Diameter * polygon.Diameter)).ShouldBeGreaterThan(-1e-9);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_point_lies_in_exactly_one_leaf_and_in_the_groups_around_it(string kind)
    {
        var root = Tree(kind);
        var places = new PolygonalTreemap().Divide(root, Square);
        var random = new Random(7);
        for (int sample = 0; sample < 500; sample++)
        {
            var point = new Vertex(random.NextDouble(), random.NextDouble());
            var leaf = root.Leaves.Where(leaf => Contains(places[leaf], point)).ShouldHaveSingleItem();
            places.Where(place => place.Key.Leaves.Contains(leaf)).ShouldAllBe(place => Contains(place.Value, point));
        }
    }

    [Fact]
    public void A_leaf_of_almost_no_weight_is_a_corner_and_not_a_line()
    {
        var places = new PolygonalTreemap().Divide(Flat(1, 1e-6), Square);
        places.Values.Max(polygon => polygon.Aspect).ShouldBe(4, 1e-3);
        Treemap.Squarify([1, 1e-6], new(0, 0, 1, 1)).Max(tile => tile.Aspect).ShouldBe(1e6, 10);
    }

    [Theory]
    [InlineData("geometric", 3.1, 11.0)]
    [InlineData("zipf", 3.0, 2.34)]
    [InlineData("equal", 2.0, 2.0)]
    public void The_thinnest_part_is_as_fat_as_measured(string kind, double polygons, double rectangles)
    {
        var root = Tree(kind);
        new PolygonalTreemap().Divide(root, Square).Values.Max(polygon => polygon.Aspect).ShouldBeLessThanOrEqualTo(polygons + 1e-9);
        Treemap.Squarify([.. root.Leaves.Select(leaf => leaf.Weight)], new(0, 0, 1, 1)).Max(tile => tile.Aspect).ShouldBe(rectangles, 0.05);
    }

    [Fact]
    public void Sixteen_equal_leaves_are_squares() =>
        new PolygonalTreemap().Divide(Tree("equal"), Square).Where(place => place.Key.Children.Count == 0).ShouldAllBe(place => Math.Abs(place.Value.Aspect - 2) < 1e-9);

    [Fact]
    public void Random_trees_stay_fat()
    {
        for (int seed = 0; seed < 20; seed++)
        {
            var root = RandomTree(seed);
            root.Leaves.Count().ShouldBe(200);
            new PolygonalTreemap().Divide(root, Square).Values.Max(polygon => polygon.Aspect).ShouldBeLessThanOrEqualTo(8, $"seed {seed}");
        }
    }

    [Fact]
    public void The_drawing_scales_with_the_canvas_and_not_with_the_weights()
    {
        var small = new PolygonalTreemap().Divide(RandomTree(3), Square);
        var large = new PolygonalTreemap().Divide(RandomTree(3), Polygon.Rectangle(0, 0, 4, 4));
        var heavy = new PolygonalTreemap().Divide(RandomTree(3, scale: 1024), Square);
        foreach (var (one, two, three) in small.Values.Zip(large.Values, heavy.Values))
        {
            two.Vertices.ShouldBe(one.Vertices.Select(vertex => new Vertex(4 * vertex.X, 4 * vertex.Y)));
            three.Vertices.ShouldBe(one.Vertices);
        }
    }

    [Fact]
    public void The_order_of_unequal_children_changes_nothing()
    {
        double[] weights = [5, 1, 3, 2, 8, 0.5];
        var one = Flat(weights);
        var two = Flat([.. weights.Reverse()]);
        var first = new PolygonalTreemap().Divide(one, Square);
        var second = new PolygonalTreemap().Divide(two, Square);
        foreach (var (a, b) in one.Children.Zip(two.Children.Reverse()))
        {
            second[b].Vertices.ShouldBe(first[a].Vertices);
        }
    }

    [Fact]
    public void Well_separated_cuts_keep_the_areas_too()
    {
        var root = RandomTree(11);
        var places = new PolygonalTreemap(separated: true).Divide(root, Square);
        root.Leaves.ShouldAllBe(leaf => Math.Abs((places[leaf].Area * root.Weight / leaf.Weight) - 1) < 1e-9);
        places.Values.Max(polygon => polygon.Aspect).ShouldBeLessThanOrEqualTo(16);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_leaf_without_weight_is_refused(double weight) =>
        Should.Throw<ArgumentException>(() => new PolygonalTreemap().Divide(Flat(1, weight), Square)).Message.ShouldContain("leaf 1");

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Rectangles_with_slack_are_never_thinner_than_asked(double longest)
    {
        foreach (string kind in Kinds.Select(row => row.Data))
        {
            var tiles = new SlackRectangles(longest).Divide(Tree(kind), new(0, 0, 1, 1));
            tiles.ShouldAllBe(tile => Math.Max(tile.Width / tile.Height, tile.Height / tile.Width) <= longest * (1 + 1e-9));
            tiles.Sum(tile => tile.Area).ShouldBe(1, 1e-9);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Rectangles_with_any_shape_have_exact_areas(string kind)
    {
        var root = Tree(kind);
        var tiles = new SlackRectangles(double.PositiveInfinity).Divide(root, new(0, 0, 1, 1));
        root.Leaves.Zip(tiles).ShouldAllBe(pair => Math.Abs((pair.Second.Area * root.Weight / pair.First.Weight) - 1) < 1e-9);
    }

    [Fact]
    public void A_polygon_far_from_the_origin_has_its_centre_where_it_is()
    {
        var centre = Polygon.Rectangle(1e6, -2e6, 1e-3, 2e-3).Centroid;
        centre.X.ShouldBe(1e6 + 0.5e-3, 1e-9);
        centre.Y.ShouldBe(-2e6 + 1e-3, 1e-9);
    }

    private static MapNode Tree(string kind) => kind switch
    {
        "spread over 1e7" => Flat([.. Enumerable.Range(0, 60).Select(i => Math.Pow(10, -7.0 * i / 59))]),
        "geometric" => Flat([.. Enumerable.Range(0, 8).Select(i => Math.Pow(0.1, i))]),
        "zipf" => Flat([.. Enumerable.Range(1, 30).Select(i => 1.0 / i)]),
        "equal" => Flat([.. Enumerable.Repeat(1.0, 16)]),
        _ => RandomTree(5),
    };

    private static MapNode Flat(params double[] weights) => new("root", 0, [.. weights.Select((weight, i) => new MapNode($"leaf {i}", weight, []))]);

    /// <summary>200 leaves at depth 5 at most, weights log-normal with sigma 3.</summary>
    private static MapNode RandomTree(int seed, double scale = 1)
    {
        var random = new Random(seed);
        return Group("root", 200, 1);

        MapNode Group(string name, int leaves, int depth)
        {
            if (leaves == 1)
            {
                double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
                return new(name, scale * Math.Exp(3 * normal), []);
            }

            var sizes = new List<int>();
            for (int rest = leaves; rest > 0; rest -= sizes[^1])
            {
                sizes.Add(depth >= 5 ? 1 : Math.Min(rest, 1 + random.Next(Math.Max(1, leaves / 3))));
            }

            return new(name, 0, [.. sizes.Select((size, i) => Group($"{name}.{i}", size, depth + 1))]);
        }
    }

    private static bool Contains(Polygon polygon, Vertex point)
    {
        for (int i = 0; i < polygon.Vertices.Count; i++)
        {
            var (a, b) = (polygon.Vertices[i], polygon.Vertices[(i + 1) % polygon.Vertices.Count]);
            if (((b.X - a.X) * (point.Y - a.Y)) - ((b.Y - a.Y) * (point.X - a.X)) < 0)
            {
                return false;
            }
        }

        return true;
    }
}
