using System.Globalization;
using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws the bytes of all layers before and after as maps of polygons, both on the same scale: the space that was saved stays empty.</summary>
/// <param name="layers">The compressed layers.</param>
/// <param name="kept">The tensors that were kept.</param>
internal sealed class TreemapChart(IReadOnlyList<ReportLayer> layers, IReadOnlyList<TensorRecord> kept)
{
    private const double LineHeight = 13;
    private const double LetterWidth = 6.35; // the widest of the style sheet's monospaced fonts at 10.5 px
    private const double Margin = 4;
    private const int OutlineClasses = 4;

    /// <summary>Both maps, with captions.</summary>
    public IEnumerable<XElement> Draw()
    {
        var (before, after) = LayerMap.Both(layers, kept);
        yield return E("div.maps", Figure("Before", "before", before, before), Figure("After", "after", after, before));
        yield return E("p.note", $"Cells are cut so that small layers stay visible. The thinnest one has {Thin(before.ThinnestTile, after.ThinnestTile)} as its squared diameter over its area, where a square has 2; squarified rectangles, without regard to modules, would have up to {Thin(before.ThinnestRectangle, after.ThinnestRectangle)}.");
    }

    private static string Thin(double before, double after) => Figures.Number(Math.Max(before, after));

    private XElement Figure(string title, string id, LayerMap map, LayerMap first)
    {
        long saved = first.Bytes - map.Bytes;
        var drawing = E("svg.map", A("viewBox", $"-1 -1 {Figures.Coordinate(LayerMap.Width + 2)} {Figures.Coordinate(LayerMap.Height + 2)}"), A("role", "group"),
            A("aria-labelledby", $"map-{id}-title map-{id}-text"),
            E("title", A("id", $"map-{id}-title"), $"Bytes of each layer {id} compression"),
            E("desc", A("id", $"map-{id}-text"), Description(map)),
            E("defs", Hatch(id)),
            E("rect.frame", At(("x", 0), ("y", 0), ("width", LayerMap.Width), ("height", LayerMap.Height))),
            map.Tiles.Select(tile => tile.Layer is { } layer ? Cell(layer, tile) : KeptCell(tile, id)),
            map.Outlines.Select(outline => E($"polygon.module.m{Figures.Whole(Math.Min(outline.Depth, OutlineClasses - 1))}", Points(outline.Polygon))),
            saved > 0 && map.Scale < 0.9 ? E("text.saved", At(("x", LayerMap.Width - 8), ("y", LayerMap.Height - 10)), Figures.Bytes(saved) + " saved") : null);
        return E("figure", E("figcaption", E("strong", title), " " + Figures.Bytes(map.Bytes)), drawing);
    }

    private string Description(LayerMap map)
    {
        var largest = map.Tiles.OrderByDescending(tile => tile.Bytes).Take(3).Select(tile => $"{tile.Path} {Figures.Bytes(tile.Bytes)}");
        string empty = map.Empty.Count == 0 ? "" : $" Without bytes: {string.Join(", ", map.Empty)}.";
        return $"{Figures.Count(layers.Count, "layer")} and {Figures.Count(kept.Count, "kept tensor")}, {Figures.Bytes(map.Bytes)} together. Largest: {string.Join(", ", largest)}.{empty} Arrow keys move between the cells, Enter goes to the row of the layer; the table of layers holds all figures.";
    }

    private static XElement Hatch(string id) => E("pattern", A("id", "hatch-" + id), A("patternUnits", "userSpaceOnUse"), A("patternTransform", "rotate(45)"),
        At(("width", 6), ("height", 6)), E("rect.plain", At(("width", 6), ("height", 6))), E("rect.stripe", At(("width", 2), ("height", 6))));

    private static XElement Cell(ReportLayer layer, LayerTile tile)
    {
        var record = layer.Record;
        string error = Figures.Percent(layer.RelativeError);
        string tip = $"{record.Path}\n{Figures.Shape(record.Shape)} {record.Kind}, {layer.StepNames}\n{Figures.Bytes(tile.Bytes)} here ({Figures.Bytes(record.BytesBefore)} → {Figures.Bytes(record.BytesAfter)})\nrelative error {error}";
        return E("a.tile." + ErrorScale.ClassOf(layer.RelativeError), A("href", "#" + layer.Anchor), A("data-layer", layer.Anchor),
            A("aria-label", $"{record.Path}, {Figures.Bytes(tile.Bytes)}, relative error {error}"),
            E("title", tip), E("polygon", Points(tile.Polygon)), Label(tile.Polygon, [layer.Name, layer.BlockName ?? error, error]));
    }

    private static XElement KeptCell(LayerTile tile, string id) => E("a.tile.kept", A("href", "#layers"),
        A("aria-label", $"{tile.Path}, {Figures.Bytes(tile.Bytes)}, stored as before"),
        E("title", $"{tile.Path}\n{Figures.Bytes(tile.Bytes)}, stored as before"),
        E("polygon", Points(tile.Polygon), A("fill", $"url(#hatch-{id})")), Label(tile.Polygon, [tile.Path.Split('.')[^1], Figures.Bytes(tile.Bytes)]));

    private static XAttribute Points(Polygon polygon) => A("points", string.Join(' ', polygon.Vertices.Select(vertex => Fine(vertex.X) + "," + Fine(vertex.Y))));

    private static string Fine(double length) => length.ToString("0.###", CultureInfo.InvariantCulture);

    /// <summary>As many lines as fit around the centre of a cell, the first one first; nothing where not even that one fits.</summary>
    private static XElement? Label(Polygon polygon, string[] lines)
    {
        string[] distinct = [.. lines.Distinct()];
        var centre = polygon.Centroid;
        for (int count = distinct.Length; count > 0; count--)
        {
            double top = centre.Y - (count * LineHeight / 2);
            if (Enumerable.Range(0, count).All(line => Fits(polygon, centre.X, top + (line * LineHeight), distinct[line])))
            {
                return E("text.middle", distinct.Take(count).Select((line, i) =>
                    E(i == 0 ? "tspan.name" : "tspan", At(("x", centre.X), ("y", top + (LineHeight * (i + 0.78)))), line)));
            }
        }

        return null;
    }

    private static bool Fits(Polygon polygon, double centre, double top, string line)
    {
        double half = (line.Length * LetterWidth / 2) + Margin;
        return new[] { top, top + LineHeight }.Select(polygon.ChordAt).All(chord => centre - half >= chord.Left && centre + half <= chord.Right);
    }
}
