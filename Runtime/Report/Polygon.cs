namespace PipelineDsl.Runtime.Report;

/// <summary>A place in a drawing.</summary>
/// <param name="X">To the right.</param>
/// <param name="Y">Down in a drawing; geometry does not care.</param>
internal readonly record struct Vertex(double X, double Y);

/// <summary>A convex polygon.</summary>
/// <param name="vertices">At least three corners, counter-clockwise where y grows upwards.</param>
internal sealed class Polygon(IReadOnlyList<Vertex> vertices)
{
    /// <summary>Corners nearer to each other than this share of the polygon's extent are one.</summary>
    private const double Nearness = 1e-12;

    /// <summary>The corners in order.</summary>
    public IReadOnlyList<Vertex> Vertices { get; } = vertices;

    /// <summary>The area inside.</summary>
    public double Area { get; } = AreaOf(vertices);

    /// <summary>The largest distance between two corners.</summary>
    public double Diameter { get; } = DiameterOf(vertices);

    /// <summary>Squared diameter over area: 2 for a square, 4/π for a disc, k + 1/k for a rectangle of sides 1 and k.</summary>
    public double Aspect => Diameter * Diameter / Area;

    /// <summary>The centre of gravity.</summary>
    public Vertex Centroid
    {
        get
        {
            // From a corner of its own: far from the origin the products would cancel.
            var start = Vertices[0];
            double x = 0;
            double y = 0;
            double twice = 0;
            for (int i = 1; i + 1 < Vertices.Count; i++)
            {
                var (a, b) = (Vertices[i], Vertices[i + 1]);
                double cross = Cross(start, a, b);
                x += (a.X - start.X + b.X - start.X) * cross;
                y += (a.Y - start.Y + b.Y - start.Y) * cross;
                twice += cross;
            }

            return new(start.X + (x / (3 * twice)), start.Y + (y / (3 * twice)));
        }
    }

    /// <summary>A rectangle.</summary>
    public static Polygon Rectangle(double x, double y, double width, double height) =>
        new([new(x, y), new(x + width, y), new(x + width, y + height), new(x, y + height)]);

    /// <summary>What a horizontal line has inside.</summary>
    /// <param name="y">The height.</param>
    /// <returns>Left and right end; the left one is larger where the height misses the polygon.</returns>
    public (double Left, double Right) ChordAt(double y)
    {
        double left = double.PositiveInfinity;
        double right = double.NegativeInfinity;
        for (int i = 0; i < Vertices.Count; i++)
        {
            var (a, b) = (Vertices[i], Vertices[(i + 1) % Vertices.Count]);
            if (Math.Min(a.Y, b.Y) <= y && y <= Math.Max(a.Y, b.Y))
            {
                double share = a.Y == b.Y ? 0 : (y - a.Y) / (b.Y - a.Y);
                double x = a.X + (share * (b.X - a.X));
                left = Math.Min(left, Math.Min(x, a.Y == b.Y ? b.X : x));
                right = Math.Max(right, Math.Max(x, a.Y == b.Y ? b.X : x));
            }
        }

        return (left, right);
    }

    /// <summary>Cuts off a share of the area by a line.</summary>
    /// <param name="normal">The line's normal, of length 1.</param>
    /// <param name="share">Above 0 and below 1: what lies on the side that the normal comes from.</param>
    /// <returns>The part of that share, and the rest.</returns>
    public (Polygon Low, Polygon High) Cut(Vertex normal, double share)
    {
        // The smaller part is measured from its own end: as a difference of nearly the whole it would lose its digits.
        if (share > 0.5)
        {
            var (rest, part) = Cut(new(-normal.X, -normal.Y), 1 - share);
            return (part, rest);
        }

        double level = LevelOf(normal, share * Area);
        return (Clip(normal, level, keepLow: true), Clip(normal, level, keepLow: false));
    }

    /// <summary>Where the area below a line is as large as asked: a quadratic equation on the piece between two corners.</summary>
    private double LevelOf(Vertex normal, double area)
    {
        double[] levels = [.. Vertices.Select(vertex => Level(vertex, normal)).Order()];
        double from = levels[0];
        double below = 0;
        foreach (double to in levels.Skip(1).Where(level => level - levels[0] > Nearness * Diameter))
        {
            double upTo = to == levels[^1] ? Area : Below(normal, to);
            double width = to - from;
            if (width > 0 && (upTo >= area || to == levels[^1]))
            {
                double middle = Below(normal, from + (width / 2)) - below;
                double whole = upTo - below;
                double linear = ((4 * middle) - whole) / width;
                double quadratic = 2 * (whole - (2 * middle)) / (width * width);
                double wanted = area - below;
                double root = Math.Sqrt(Math.Max(0, (linear * linear) + (4 * quadratic * wanted)));
                return from + Math.Clamp(2 * wanted / (linear + root), 0, width);
            }

            (from, below) = (to, upTo);
        }

        return from;
    }

    private double Below(Vertex normal, double level) => AreaOf(Clipped(normal, level, keepLow: true));

    private Polygon Clip(Vertex normal, double level, bool keepLow) => new(Distinct(Clipped(normal, level, keepLow)));

    /// <summary>The corners on one side of a line (Sutherland and Hodgman).</summary>
    private List<Vertex> Clipped(Vertex normal, double level, bool keepLow)
    {
        var inside = new List<Vertex>(Vertices.Count + 1);
        for (int i = 0; i < Vertices.Count; i++)
        {
            var (a, b) = (Vertices[i], Vertices[(i + 1) % Vertices.Count]);
            double over = Level(a, normal) - level;
            double next = Level(b, normal) - level;
            if (keepLow ? over <= 0 : over >= 0)
            {
                inside.Add(a);
            }

            if (over * next < 0)
            {
                double share = over / (over - next);
                inside.Add(new(a.X + (share * (b.X - a.X)), a.Y + (share * (b.Y - a.Y))));
            }
        }

        return inside;
    }

    private static List<Vertex> Distinct(List<Vertex> corners)
    {
        double limit = Nearness * DiameterOf(corners);
        var distinct = new List<Vertex>(corners.Count);
        foreach (var corner in corners)
        {
            if (distinct.Count == 0 || Distance(distinct[^1], corner) > limit)
            {
                distinct.Add(corner);
            }
        }

        if (distinct.Count > 1 && Distance(distinct[0], distinct[^1]) <= limit)
        {
            distinct.RemoveAt(distinct.Count - 1);
        }

        return distinct;
    }

    private static double Level(Vertex vertex, Vertex normal) => (vertex.X * normal.X) + (vertex.Y * normal.Y);

    private static double Distance(Vertex a, Vertex b) => Math.Sqrt(((a.X - b.X) * (a.X - b.X)) + ((a.Y - b.Y) * (a.Y - b.Y)));

    private static double Cross(Vertex start, Vertex a, Vertex b) => ((a.X - start.X) * (b.Y - start.Y)) - ((b.X - start.X) * (a.Y - start.Y));

    private static double AreaOf(IReadOnlyList<Vertex> corners)
    {
        double twice = 0;
        for (int i = 1; i + 1 < corners.Count; i++)
        {
            twice += Cross(corners[0], corners[i], corners[i + 1]);
        }

        return twice / 2;
    }

    private static double DiameterOf(IReadOnlyList<Vertex> corners)
    {
        double longest = 0;
        for (int i = 0; i < corners.Count; i++)
        {
            for (int j = i + 1; j < corners.Count; j++)
            {
                longest = Math.Max(longest, Distance(corners[i], corners[j]));
            }
        }

        return longest;
    }
}
