namespace PipelineDsl.Runtime.Report;

/// <summary>Divides a convex polygon among the leaves of a tree by cuts that keep every part fat, whatever the weights are.</summary>
/// <remarks>After the fat polygonal partitions of de Berg, Onak and Sidiropoulos (arXiv:1009.1866). Each cut is the best of those tried here; the bounds of the paper are not claimed for it.</remarks>
/// <param name="directions">Directions of cuts that are tried, at least 8, evenly spread over half a turn.</param>
/// <param name="separated">Whether cuts that make a small angle with an edge are taken only where there is no other; else the fattest parts alone decide.</param>
internal sealed class PolygonalTreemap(int directions = 24, bool separated = false)
{
    /// <summary>A later cut must be better by more than this: equal ones would be told apart by rounding.</summary>
    private const double Better = 1e-9;

    /// <summary>Edges whose angles differ by less are parallel.</summary>
    private const double Parallel = 1e-9;

    private readonly Vertex[] normals = [.. Enumerable.Range(0, directions).Select(j => new Vertex(Math.Cos(Math.PI * j / directions), Math.Sin(Math.PI * j / directions)))];

    /// <summary>The polygon of every node of a tree.</summary>
    /// <param name="root">Leaves of weight above zero.</param>
    /// <param name="bounds">What the root fills.</param>
    /// <returns>For every node a part of <paramref name="bounds"/> whose share of the area is the node's share of the weight.</returns>
    /// <exception cref="ArgumentException">A leaf has no weight, or one that is no number.</exception>
    public IReadOnlyDictionary<MapNode, Polygon> Divide(MapNode root, Polygon bounds)
    {
        if (root.Leaves.FirstOrDefault(leaf => !(leaf.Weight > 0) || double.IsInfinity(leaf.Weight)) is { } weightless)
        {
            throw new ArgumentException($"the leaf '{weightless.Name}' has the weight {weightless.Weight}; leave such leaves out", nameof(root));
        }

        var places = new Dictionary<MapNode, Polygon>();
        Place(root, bounds, places);
        return places;
    }

    private void Place(MapNode node, Polygon bounds, Dictionary<MapNode, Polygon> places)
    {
        places.Add(node, bounds);
        if (node.Children.Count > 0)
        {
            Share([.. node.Children.OrderByDescending(child => child.Weight)], bounds, places);
        }
    }

    /// <summary>Shares a polygon among nodes, heaviest first.</summary>
    private void Share(ReadOnlySpan<MapNode> nodes, Polygon bounds, Dictionary<MapNode, Polygon> places)
    {
        if (nodes.Length == 1)
        {
            Place(nodes[0], bounds, places);
            return;
        }

        var (count, first, sum) = WeightSplit.Of(nodes);
        var (a, b) = Cut(bounds, first / sum);
        Share(nodes[..count], a, places);
        Share(nodes[count..], b, places);
    }

    /// <summary>The cut whose thinner part is fattest; the first of equal ones.</summary>
    private (Polygon A, Polygon B) Cut(Polygon bounds, double share)
    {
        bool[] allowed = separated ? Separated(bounds) : [.. normals.Select(_ => true)];
        if (!allowed.Contains(true))
        {
            Array.Fill(allowed, true);
        }

        (Polygon A, Polygon B)? best = null;
        double least = double.PositiveInfinity;
        for (int j = 0; j < normals.Length; j++)
        {
            if (!allowed[j])
            {
                continue;
            }

            foreach (bool low in new[] { true, false })
            {
                var parts = bounds.Cut(normals[j], low ? share : 1 - share);
                double cost = Math.Max(parts.Low.Aspect, parts.High.Aspect);
                if (cost < least - Better)
                {
                    (least, best) = (cost, low ? parts : (parts.High, parts.Low));
                }
            }
        }

        return best ?? throw new InvalidOperationException("a polygon without area cannot be shared");
    }

    /// <summary>Which cuts make a large enough angle with every edge that they are not parallel to.</summary>
    private bool[] Separated(Polygon bounds)
    {
        var edges = new List<double>();
        for (int i = 0; i < bounds.Vertices.Count; i++)
        {
            var (a, b) = (bounds.Vertices[i], bounds.Vertices[(i + 1) % bounds.Vertices.Count]);
            double angle = Math.Atan2(b.Y - a.Y, b.X - a.X);
            if (edges.All(edge => Between(edge, angle) > Parallel))
            {
                edges.Add(angle);
            }
        }

        double smallest = Math.PI / (2 * (edges.Count + 1));
        return [.. normals.Select(normal =>
        {
            double line = Math.Atan2(normal.X, -normal.Y);
            return edges.Select(edge => Between(edge, line)).All(angle => angle <= Parallel || angle >= smallest - Parallel);
        })];
    }

    /// <summary>The angle between two undirected lines, up to a quarter turn.</summary>
    private static double Between(double a, double b)
    {
        double turn = Math.Abs(a - b) % Math.PI;
        return Math.Min(turn, Math.PI - turn);
    }
}
