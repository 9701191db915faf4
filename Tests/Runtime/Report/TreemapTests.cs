using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class TreemapTests
{
    private static readonly Tile Bounds = new(10, 20, 480, 320);

    public static TheoryData<double[]> Sizes => new()
    {
        new double[] { 6, 6, 4, 3, 2, 2, 1 },
        new double[] { 1 },
        new double[] { 1e-9, 1e9, 3, 0, 5 },
        Enumerable.Range(0, 200).Select(i => 1 + (1000 * Math.Abs(Math.Sin(i * 12.9898)))).ToArray(),
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Areas_are_proportional_to_sizes(double[] sizes)
    {
        var tiles = Treemap.Squarify(sizes, Bounds);
        tiles.Length.ShouldBe(sizes.Length);
        foreach (var (tile, size) in tiles.Zip(sizes))
        {
            tile.Area.ShouldBe(Bounds.Area * size / sizes.Sum(), 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Tiles_stay_inside_the_bounds(double[] sizes)
    {
        foreach (var tile in Treemap.Squarify(sizes, Bounds))
        {
            tile.X.ShouldBeGreaterThanOrEqualTo(Bounds.X - 1e-9);
            tile.Y.ShouldBeGreaterThanOrEqualTo(Bounds.Y - 1e-9);
            (tile.X + tile.Width).ShouldBeLessThanOrEqualTo(Bounds.X + Bounds.Width + 1e-9);
            (tile.Y + tile.Height).ShouldBeLessThanOrEqualTo(Bounds.Y + Bounds.Height + 1e-9);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Tiles_do_not_overlap(double[] sizes)
    {
        var tiles = Treemap.Squarify(sizes, Bounds);
        for (int i = 0; i < tiles.Length; i++)
        {
            for (int j = i + 1; j < tiles.Length; j++)
            {
                Overlap(tiles[i], tiles[j]).ShouldBeLessThan(1e-6, $"tiles {i} and {j}");
            }
        }
    }

    [Fact]
    public void The_example_of_the_paper_gives_its_layout()
    {
        var tiles = Treemap.Squarify([6, 6, 4, 3, 2, 2, 1], new(0, 0, 6, 4));
        tiles[0].ShouldBe(new(0, 0, 3, 2));
        tiles[1].ShouldBe(new(0, 2, 3, 2));
        tiles[2].Width.ShouldBe(12.0 / 7, 1e-12);
        tiles[2].Height.ShouldBe(7.0 / 3, 1e-12);
        tiles[4].Width.ShouldBe(1.2, 1e-12);
        tiles[6].Width.ShouldBe(0.6, 1e-12);
    }

    [Fact]
    public void Tiles_are_nearly_square()
    {
        double[] sizes = [.. Enumerable.Repeat(1.0, 24)];
        Treemap.Squarify(sizes, Bounds).ShouldAllBe(tile => Math.Max(tile.Width / tile.Height, tile.Height / tile.Width) < 1.6);
    }

    [Fact]
    public void Nothing_to_lay_out_gives_nothing()
    {
        Treemap.Squarify([], Bounds).ShouldBeEmpty();
        Treemap.Squarify([0, 0], Bounds).ShouldAllBe(tile => tile.Area == 0);
        Treemap.Squarify([1, 2], Bounds with { Width = 0 }).ShouldAllBe(tile => tile.Area == 0);
    }

    private static double Overlap(Tile a, Tile b)
    {
        double width = Math.Min(a.X + a.Width, b.X + b.Width) - Math.Max(a.X, b.X);
        double height = Math.Min(a.Y + a.Height, b.Y + b.Height) - Math.Max(a.Y, b.Y);
        return Math.Max(0, width) * Math.Max(0, height);
    }
}
