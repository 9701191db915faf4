namespace PipelineDsl.Runtime.Report;

/// <summary>Divides a rectangle among the leaves of a tree into rectangles that are never thinner than a bound; areas give way for it.</summary>
/// <param name="longest">The largest ratio of a rectangle's sides, at least 2; infinite for exact areas.</param>
internal sealed class SlackRectangles(double longest = 3)
{
    /// <summary>The rectangle of every leaf, in the order of the leaves.</summary>
    /// <param name="root">Leaves of weight above zero.</param>
    /// <param name="bounds">What the root fills; its own sides must keep the bound.</param>
    public IReadOnlyList<Tile> Divide(MapNode root, Tile bounds)
    {
        var places = new Dictionary<MapNode, Tile>();
        Place(root, bounds, places);
        return [.. root.Leaves.Select(leaf => places[leaf])];
    }

    private void Place(MapNode node, Tile bounds, Dictionary<MapNode, Tile> places)
    {
        if (node.Children.Count == 0)
        {
            places.Add(node, bounds);
        }
        else
        {
            Share([.. node.Children.OrderByDescending(child => child.Weight)], bounds, places);
        }
    }

    private void Share(ReadOnlySpan<MapNode> nodes, Tile bounds, Dictionary<MapNode, Tile> places)
    {
        if (nodes.Length == 1)
        {
            Place(nodes[0], bounds, places);
            return;
        }

        var (count, first, sum) = WeightSplit.Of(nodes);
        bool across = bounds.Width >= bounds.Height;
        var (length, side) = across ? (bounds.Width, bounds.Height) : (bounds.Height, bounds.Width);

        // The lighter part is not cut thinner than the bound allows; the heavier one pays.
        double least = side / (longest * length);
        double share = first <= sum - first ? Math.Max(first / sum, least) : 1 - Math.Max((sum - first) / sum, least);
        double cut = share * length;
        Share(nodes[..count], across ? bounds with { Width = cut } : bounds with { Height = cut }, places);
        Share(nodes[count..], across ? bounds with { X = bounds.X + cut, Width = length - cut } : bounds with { Y = bounds.Y + cut, Height = length - cut }, places);
    }
}
