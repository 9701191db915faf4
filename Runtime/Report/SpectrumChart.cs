using System.Xml.Linq;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws the singular values of one layer on a logarithmic scale, and where they were cut.</summary>
internal static class SpectrumChart
{
    /// <summary>The largest number of points drawn: a spectrum of thousands of values looks the same.</summary>
    public const int MaxPoints = 40;

    private static readonly string[] Labels = ["1", "10⁻¹", "10⁻²", "10⁻³", "10⁻⁴"];

    private const double Left = 26;
    private const double Top = 6;
    private const double Width = 170;
    private const double Height = 74;

    /// <summary>How many powers of ten all charts of a report must show, so that they can be compared.</summary>
    public static int Decades(IEnumerable<ReportLayer> layers) => Math.Clamp(layers
        .Where(IsDrawable)
        .Select(layer => (int)Math.Ceiling(-Math.Log10(layer.Record.Spectrum.Where(value => value > 0).Min() / layer.Record.Spectrum.Max())))
        .DefaultIfEmpty(1).Max(), 1, Labels.Length - 1);

    /// <summary>Whether there is something to draw.</summary>
    public static bool IsDrawable(ReportLayer layer) => layer.Record.Spectrum.Count > 1 && layer.Record.Spectrum.Max() is > 0 and < double.PositiveInfinity;

    /// <summary>The chart of a layer, with its caption.</summary>
    public static XElement Draw(ReportLayer layer, int decades)
    {
        var spectrum = layer.Record.Spectrum;
        long? rank = layer.Rank is { } cut ? Math.Clamp(cut, 1, spectrum.Count) : null;
        string id = "spectrum-" + layer.Anchor;
        string summary = rank is null ? Figures.Count(spectrum.Count, "value") : $"{Figures.Whole(rank.Value)} of {Figures.Count(spectrum.Count, "value")} kept";
        var points = Sample(spectrum.Count, (int)(rank ?? spectrum.Count)).Select(i => (Index: i, Point: Point(spectrum, i, decades))).ToList();
        return E("figure.spectrum",
            E("svg", A("viewBox", "0 0 200 96"), A("role", "img"), A("aria-labelledby", $"{id}-title {id}-text"),
                E("title", A("id", id + "-title"), "Singular values of " + layer.Record.Path),
                E("desc", A("id", id + "-text"), $"{summary}. From {Figures.Number(spectrum[0])} down to {Figures.Number(spectrum[^1])}, logarithmic scale."),
                Grid(decades),
                rank is null ? null : E("path.area", A("d", Area(points.Where(point => point.Index < rank).Select(point => point.Point)))),
                E("polyline.line", A("points", string.Join(' ', points.Select(point => Text(point.Point))))),
                rank is null ? null : Cut(rank.Value, spectrum.Count)),
            E("figcaption", E("a", A("href", "#" + layer.Anchor), Dotted(layer)), E("span.note", $"{summary}, error {Figures.Percent(layer.RelativeError)}")));
    }

    private static SortedSet<int> Sample(int count, int rank)
    {
        int points = Math.Min(count, MaxPoints - 2);
        var indices = new SortedSet<int>(Enumerable.Range(0, points).Select(i => (int)((long)i * (count - 1) / (points - 1)))) { rank - 1 };
        indices.Add(Math.Min(rank, count - 1));
        return indices;
    }

    private static (double X, double Y) Point(IReadOnlyList<double> spectrum, int i, int decades)
    {
        double fall = spectrum[i] > 0 ? -Math.Log10(spectrum[i] / spectrum[0]) : decades;
        return (Left + (Width * (i + 0.5) / spectrum.Count), Top + (Height * Math.Clamp(fall / decades, 0, 1)));
    }

    private static string Text((double X, double Y) point) => Figures.Coordinate(point.X) + "," + Figures.Coordinate(point.Y);

    private static string Area(IEnumerable<(double X, double Y)> kept)
    {
        var points = kept.ToList();
        return $"M{Text((points[0].X, Top + Height))}L{string.Join('L', points.Select(Text))}L{Text((points[^1].X, Top + Height))}Z";
    }

    private static IEnumerable<XElement> Grid(int decades) => Enumerable.Range(0, decades + 1).SelectMany(decade =>
    {
        double y = Top + (Height * decade / decades);
        return new[]
        {
            E("line.grid", At(("x1", Left), ("x2", Left + Width), ("y1", y), ("y2", y))),
            E("text.end", At(("x", Left - 4), ("y", y + 3)), Labels[decade]),
        };
    });

    private static IEnumerable<XElement> Cut(long rank, int count)
    {
        double x = Left + (Width * rank / count);
        yield return E("line.cut", At(("x1", x), ("x2", x), ("y1", Top), ("y2", Top + Height + 4)));
        yield return E("text.middle", At(("x", Math.Clamp(x, Left + 8, Left + Width - 8)), ("y", Top + Height + 14)), "rank " + Figures.Whole(rank));
    }
}
