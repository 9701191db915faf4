namespace PipelineDsl.Runtime.Report;

/// <summary>A rectangle of a drawing; y grows downwards.</summary>
/// <param name="X">The left edge.</param>
/// <param name="Y">The upper edge.</param>
/// <param name="Width">The width.</param>
/// <param name="Height">The height.</param>
internal readonly record struct Tile(double X, double Y, double Width, double Height)
{
    /// <summary>Width times height.</summary>
    public double Area => Width * Height;

    /// <summary>Squared diagonal over area, as of a <see cref="Polygon"/>.</summary>
    public double Aspect => ((Width * Width) + (Height * Height)) / Area;
}

/// <summary>Fills a rectangle with tiles whose areas are proportional to given sizes and whose sides are nearly equal.</summary>
/// <remarks>The squarified layout of Bruls, Huizing and van Wijk (Squarified Treemaps, 2000): rows are laid along the shorter side, and a row is closed as soon as one more tile would make its worst aspect ratio worse.</remarks>
internal static class Treemap
{
    /// <summary>Lays out one tile a size.</summary>
    /// <param name="sizes">Not negative; a size of zero gets a tile without area.</param>
    /// <param name="bounds">What the tiles fill together.</param>
    /// <returns>Tiles in the order of <paramref name="sizes"/>; equal sizes are placed in that order too.</returns>
    public static Tile[] Squarify(IReadOnlyList<double> sizes, Tile bounds)
    {
        var tiles = new Tile[sizes.Count];
        Array.Fill(tiles, new Tile(bounds.X, bounds.Y, 0, 0));
        int[] order = [.. Enumerable.Range(0, sizes.Count).Where(i => sizes[i] > 0).OrderByDescending(i => sizes[i])];
        double rest = order.Sum(i => sizes[i]);
        for (int start = 0; start < order.Length;)
        {
            double scale = bounds.Area / rest;
            int end = RowEnd(order, start, i => sizes[i] * scale, Math.Min(bounds.Width, bounds.Height));
            double row = order[start..end].Sum(i => sizes[i]);
            bounds = Place(order[start..end], sizes, row, end == order.Length ? 1 : row / rest, bounds, tiles);
            rest -= row;
            start = end;
        }

        return tiles;
    }

    private static int RowEnd(int[] order, int start, Func<int, double> area, double side)
    {
        double largest = area(order[start]);
        double sum = largest;
        double worst = WorstAspect(largest, largest, sum, side);
        int end = start + 1;
        for (; end < order.Length; end++)
        {
            double next = area(order[end]);
            double wider = WorstAspect(largest, next, sum + next, side);
            if (wider > worst)
            {
                break;
            }

            (worst, sum) = (wider, sum + next);
        }

        return end;
    }

    private static double WorstAspect(double largest, double smallest, double sum, double side) =>
        Math.Max(side * side * largest / (sum * sum), sum * sum / (side * side * smallest));

    private static Tile Place(int[] row, IReadOnlyList<double> sizes, double sum, double share, Tile bounds, Tile[] tiles)
    {
        bool upright = bounds.Width > bounds.Height;
        double depth = share * (upright ? bounds.Width : bounds.Height);
        double length = upright ? bounds.Height : bounds.Width;
        double before = 0;
        foreach (int i in row)
        {
            double from = length * (before / sum);
            double side = length * ((before + sizes[i]) / sum) - from;
            tiles[i] = upright ? new(bounds.X, bounds.Y + from, depth, side) : new(bounds.X + from, bounds.Y, side, depth);
            before += sizes[i];
        }

        return upright
            ? bounds with { X = bounds.X + depth, Width = bounds.Width - depth }
            : bounds with { Y = bounds.Y + depth, Height = bounds.Height - depth };
    }
}
