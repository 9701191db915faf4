using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Report;

/// <summary>A part of a map: a layer, a tensor that was kept, or all small kept tensors together.</summary>
/// <param name="Layer">The layer, or null for kept tensors.</param>
/// <param name="Path">Its path, or what is shown in its place.</param>
/// <param name="Bytes">What its area stands for.</param>
/// <param name="Polygon">Where it lies.</param>
internal sealed record LayerTile(ReportLayer? Layer, string Path, long Bytes, Polygon Polygon);

/// <summary>The outline of a module in a map.</summary>
/// <param name="Depth">How many outlines are around it.</param>
/// <param name="Polygon">Where it lies.</param>
internal sealed record ModuleOutline(int Depth, Polygon Polygon);

/// <summary>A model as a map: areas are bytes, nesting is that of the modules.</summary>
internal sealed class LayerMap
{
    /// <summary>The width of the larger map.</summary>
    public const double Width = 480;

    /// <summary>The height of the larger map.</summary>
    public const double Height = 320;

    /// <summary>The name of the kept tensors that are too small for a part of their own.</summary>
    public const string SmallTensors = "small kept tensors";

    /// <summary>The longest side of a rectangle with slack, in its shortest.</summary>
    public const double LongestSide = 3;

    /// <summary>Kept tensors below this share of all bytes are shown together.</summary>
    private const double SmallShare = 0.001;

    private LayerMap(long bytes, double scale, IReadOnlyList<LayerTile> tiles, IReadOnlyList<ModuleOutline> outlines, IReadOnlyList<string> empty)
    {
        (Bytes, Scale, Tiles, Outlines, Empty) = (bytes, scale, tiles, outlines, empty);
        if (tiles.Count > 0)
        {
            double[] weights = [.. tiles.Select(tile => (double)tile.Bytes).OrderDescending()];
            ThinnestTile = tiles.Max(tile => tile.Polygon.Aspect);
            ThinnestRectangle = Treemap.Squarify(weights, new(0, 0, Width, Height)).Max(tile => tile.Aspect);
        }
    }

    /// <summary>What the whole map stands for.</summary>
    public long Bytes { get; }

    /// <summary>Its sides as a share of <see cref="Width"/> and <see cref="Height"/>.</summary>
    public double Scale { get; }

    /// <summary>Its parts: layers in their order, then kept tensors.</summary>
    public IReadOnlyList<LayerTile> Tiles { get; }

    /// <summary>The modules that hold more than one part, outermost first.</summary>
    public IReadOnlyList<ModuleOutline> Outlines { get; }

    /// <summary>Layers and tensors without bytes of their own, which no area can stand for.</summary>
    public IReadOnlyList<string> Empty { get; }

    /// <summary>Squared diameter over area of the thinnest part; 2 is a square.</summary>
    public double ThinnestTile { get; }

    /// <summary>The same of the thinnest rectangle in a squarified map of the same parts without modules.</summary>
    public double ThinnestRectangle { get; }

    /// <summary>The maps before and after, on one scale.</summary>
    public static (LayerMap Before, LayerMap After) Both(IReadOnlyList<ReportLayer> layers, IReadOnlyList<TensorRecord> kept)
    {
        long larger = Math.Max(layers.Sum(Before), layers.Sum(After)) + kept.Sum(tensor => tensor.Bytes);
        return (Of(layers, kept, Before, larger), Of(layers, kept, After, larger));

        static long Before(ReportLayer layer) => layer.Record.BytesBefore;
        static long After(ReportLayer layer) => layer.Record.BytesAfter;
    }

    /// <summary>How far rectangles of a bounded side ratio would miss the bytes: the least and the largest area over share.</summary>
    public (double Least, double Most) Slack()
    {
        if (Tiles.Count == 0)
        {
            return (1, 1);
        }

        var root = new MapNode("", 0, [.. Tiles.Select(tile => new MapNode(tile.Path, tile.Bytes, []))]);
        double scale = root.Weight / (Width * Height);
        var shares = new SlackRectangles(LongestSide).Divide(root, new(0, 0, Width, Height)).Zip(Tiles, (rectangle, tile) => rectangle.Area * scale / tile.Bytes).ToList();
        return (shares.Min(), shares.Max());
    }

    private static LayerMap Of(IReadOnlyList<ReportLayer> layers, IReadOnlyList<TensorRecord> kept, Func<ReportLayer, long> bytes, long larger)
    {
        long total = layers.Sum(bytes) + kept.Sum(tensor => tensor.Bytes);
        string[] empty = [.. layers.Where(layer => bytes(layer) <= 0).Select(layer => layer.Record.Path), .. kept.Where(tensor => tensor.Bytes <= 0).Select(tensor => tensor.Name)];
        if (total <= 0)
        {
            return new(0, 0, [], [], empty);
        }

        var parts = layers.Where(layer => bytes(layer) > 0).Select(layer => new Part(layer, layer.Record.Path, bytes(layer))).ToList();
        parts.AddRange(kept.Where(tensor => tensor.Bytes >= SmallShare * total && tensor.Bytes > 0).Select(tensor => new Part(null, tensor.Name, tensor.Bytes)));
        long small = kept.Where(tensor => tensor.Bytes < SmallShare * total).Sum(tensor => tensor.Bytes);
        if (small > 0)
        {
            parts.Add(new(null, SmallTensors, small));
        }

        double scale = Math.Sqrt((double)total / larger);
        var leaves = new Dictionary<Part, MapNode>(ReferenceEqualityComparer.Instance);
        var root = Group("", parts, 0, leaves);
        var places = new PolygonalTreemap().Divide(root, Polygon.Rectangle(0, 0, Width * scale, Height * scale));
        return new(
            total,
            scale,
            [.. parts.Select(part => new LayerTile(part.Layer, part.Path, part.Bytes, places[leaves[part]]))],
            [.. Outline(root, 0, places).OrderBy(outline => outline.Depth)],
            empty);
    }

    /// <summary>The module in which all parts share the first segments of their paths.</summary>
    private static MapNode Group(string name, IReadOnlyList<Part> parts, int depth, Dictionary<Part, MapNode> leaves)
    {
        var children = new List<MapNode>();
        foreach (var group in parts.GroupBy(part => part.Segments.Length > depth ? part.Segments[depth] : ""))
        {
            var inner = group.ToList();
            if (inner.Count == 1)
            {
                children.Add(leaves[inner[0]] = new(inner[0].Path, inner[0].Bytes, []));
            }
            else if (inner.TrueForAll(part => part.Segments.Length <= depth))
            {
                // Two parts of one path: no deeper module tells them apart.
                children.AddRange(inner.Select(part => leaves[part] = new(part.Path, part.Bytes, [])));
            }
            else
            {
                children.Add(Group(group.Key, inner, depth + 1, leaves));
            }
        }

        return new(name, 0, children);
    }

    private static IEnumerable<ModuleOutline> Outline(MapNode node, int depth, IReadOnlyDictionary<MapNode, Polygon> places)
    {
        // A module that only holds another one has the same outline.
        bool shown = node.Children.Count > 1;
        var inner = node.Children.SelectMany(child => Outline(child, shown ? depth + 1 : depth, places));
        return shown ? inner.Prepend(new(depth, places[node])) : inner;
    }

    private sealed class Part(ReportLayer? layer, string path, long bytes)
    {
        public ReportLayer? Layer => layer;

        public string Path => path;

        public long Bytes => bytes;

        public string[] Segments { get; } = path.Split('.');
    }
}
