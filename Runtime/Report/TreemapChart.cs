using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws the bytes of all layers before and after, both on the same scale: the space that was saved stays empty.</summary>
internal sealed class TreemapChart
{
    private const double Width = 480;
    private const double Height = 320;
    private const double LineHeight = 13;
    private const double LetterWidth = 6.35; // the widest of the style sheet's monospaced fonts at 10.5 px

    private readonly IReadOnlyList<ReportLayer> _layers;
    private readonly IReadOnlyList<TensorRecord> _kept;
    private readonly double _larger;

    public TreemapChart(IReadOnlyList<ReportLayer> layers, IReadOnlyList<TensorRecord> kept)
    {
        _layers = layers;
        _kept = kept;
        _larger = Math.Max(Total(Before), Total(After));
    }

    /// <summary>Both maps, with captions.</summary>
    public XElement Draw() => E("div.maps", Figure("Before", "before", Before), Figure("After", "after", After));

    private static long Before(ReportLayer layer) => layer.Record.BytesBefore;

    private static long After(ReportLayer layer) => layer.Record.BytesAfter;

    private long KeptBytes => _kept.Sum(tensor => tensor.Bytes);

    private long Total(Func<ReportLayer, long> bytes) => _layers.Sum(bytes) + KeptBytes;

    private XElement Figure(string title, string id, Func<ReportLayer, long> bytes)
    {
        long total = Total(bytes);
        double scale = _larger > 0 ? Math.Sqrt(total / _larger) : 0;
        var bounds = new Tile(0, 0, Width * scale, Height * scale);
        var drawing = E("svg.map", A("viewBox", $"-1 -1 {Figures.Coordinate(Width + 2)} {Figures.Coordinate(Height + 2)}"), A("role", "img"),
            A("aria-labelledby", $"map-{id}-title map-{id}-text"),
            E("title", A("id", $"map-{id}-title"), $"Bytes of each layer {id} compression"),
            E("desc", A("id", $"map-{id}-text"), Description(total, bytes)),
            E("defs", Hatch(id)),
            E("rect.frame", At(("x", 0), ("y", 0), ("width", Width), ("height", Height))),
            Tiles(bounds, id, bytes),
            scale is > 0 and < 0.9 ? E("text.saved", At(("x", Width - 8), ("y", Height - 10)), Figures.Bytes((long)_larger - total) + " saved") : null);
        return E("figure", E("figcaption", E("strong", title), " " + Figures.Bytes(total)), drawing);
    }

    private string Description(long total, Func<ReportLayer, long> bytes)
    {
        var largest = _layers.OrderByDescending(bytes).Take(3).Select(layer => $"{layer.Record.Path} {Figures.Bytes(bytes(layer))}");
        return $"{Figures.Count(_layers.Count, "layer")} and {Figures.Count(_kept.Count, "kept tensor")}, {Figures.Bytes(total)} together. Largest: {string.Join(", ", largest)}. The table of layers holds all figures.";
    }

    private static XElement Hatch(string id) => E("pattern", A("id", "hatch-" + id), A("patternUnits", "userSpaceOnUse"), A("patternTransform", "rotate(45)"),
        At(("width", 6), ("height", 6)), E("rect.plain", At(("width", 6), ("height", 6))), E("rect.stripe", At(("width", 2), ("height", 6))));

    private IEnumerable<XElement> Tiles(Tile bounds, string id, Func<ReportLayer, long> bytes)
    {
        var blocks = _layers.GroupBy(layer => layer.Block).ToList();
        var outer = Treemap.Squarify([.. blocks.Select(block => (double)block.Sum(bytes)), KeptBytes], bounds);
        foreach (var (block, area) in blocks.Zip(outer))
        {
            var layers = block.ToList();
            foreach (var (layer, tile) in layers.Zip(Treemap.Squarify([.. layers.Select(layer => (double)bytes(layer))], area)))
            {
                yield return Cell(layer, tile, bytes(layer));
            }
        }

        yield return KeptCell(outer[^1], id);
        foreach (var area in outer)
        {
            yield return E("rect.block", Place(area));
        }
    }

    private static XElement Cell(ReportLayer layer, Tile tile, long bytes)
    {
        var record = layer.Record;
        string error = Figures.Percent(layer.RelativeError);
        string tip = $"{record.Path}\n{Figures.Shape(record.Shape)} {record.Kind}, {layer.StepNames}\n{Figures.Bytes(bytes)} here ({Figures.Bytes(record.BytesBefore)} → {Figures.Bytes(record.BytesAfter)})\nrelative error {error}";
        return E("g.tile." + ErrorScale.ClassOf(layer.RelativeError), A("data-layer", layer.Anchor),
            E("title", tip), E("rect", Place(tile)), Label(tile, [layer.Name, layer.BlockName ?? error, error]));
    }

    private XElement KeptCell(Tile tile, string id) => E("g.tile.kept",
        E("title", $"{Figures.Count(_kept.Count, "tensor")} stored as they were\n{Figures.Bytes(KeptBytes)}"),
        E("rect", Place(tile), A("fill", $"url(#hatch-{id})")), Label(tile, ["kept", Figures.Count(_kept.Count, "tensor"), Figures.Bytes(KeptBytes)]));

    private static IEnumerable<XAttribute> Place(Tile tile) => At(("x", tile.X), ("y", tile.Y), ("width", tile.Width), ("height", tile.Height));

    /// <summary>As many lines as the tile has room for, the first one first; a line that is too wide is left out.</summary>
    private static XElement? Label(Tile tile, string[] lines)
    {
        int room = (int)((tile.Height - 6) / LineHeight);
        string[] fitting = [.. lines.Where(line => line.Length * LetterWidth + 8 <= tile.Width).Distinct().Take(Math.Max(0, room))];
        return fitting.Length == 0 || fitting[0] != lines[0] ? null : E("text", fitting.Select((line, i) =>
            E(i == 0 ? "tspan.name" : "tspan", At(("x", tile.X + 5), ("y", tile.Y + 3 + (LineHeight * (i + 0.8)))), line)));
    }
}
