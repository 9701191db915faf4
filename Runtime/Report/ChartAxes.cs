using System.Globalization;
using System.Xml.Linq;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>The field of a line chart: where values lie in it, its lines and labels. Both ranges are longer than nothing.</summary>
/// <param name="LowX">The value at the left.</param>
/// <param name="HighX">The value at the right.</param>
/// <param name="LowY">The value at the bottom.</param>
/// <param name="HighY">The value at the top.</param>
internal readonly record struct ChartAxes(double LowX, double HighX, double LowY, double HighY)
{
    private const double Left = 52;
    private const double Top = 10;
    private const double Width = 576;
    private const double Height = 180;
    private const int Lines = 4;

    /// <summary>How far from the sides a mark's text stays.</summary>
    private const double MarkRoom = 30;

    /// <summary>A point of the field.</summary>
    public (double X, double Y) Place(double x, double y) => (X(x), Top + (Height * (HighY - y) / (HighY - LowY)));

    /// <summary>A drawing with a title and a description for who does not see it.</summary>
    public XElement Draw(string id, string title, string description, Func<double, string> labelX, Func<double, string> labelY, params object?[] content) =>
        E("svg", A("viewBox", string.Create(CultureInfo.InvariantCulture, $"0 0 {Left + Width + 12} {Top + Height + 36}")), A("role", "img"), A("aria-labelledby", $"{id}-title {id}-text"),
            E("title", A("id", $"{id}-title"), title),
            E("desc", A("id", $"{id}-text"), description),
            Grid(labelX, labelY),
            content);

    /// <summary>A line through points.</summary>
    public XElement Curve(string kind, IEnumerable<(double X, double Y)> points)
    {
        var axes = this;
        return E("polyline." + kind, A("points", string.Join(' ', points.Select(point => axes.Place(point.X, point.Y)).Select(place => Figures.Coordinate(place.X) + "," + Figures.Coordinate(place.Y)))));
    }

    /// <summary>A point that is seen as one.</summary>
    public XElement Dot(double x, double y, double radius)
    {
        var place = Place(x, y);
        return E("circle.dot", At(("cx", place.X), ("cy", place.Y), ("r", radius)));
    }

    /// <summary>An upright line at a value, named below.</summary>
    public XElement[] Mark(double x, string text) =>
    [
        E("line.cut", At(("x1", X(x)), ("x2", X(x)), ("y1", Top), ("y2", Top + Height))),
        E("text.middle.mark", At(("x", Math.Clamp(X(x), Left + MarkRoom, Left + Width - MarkRoom)), ("y", Top + Height + 29)), text),
    ];

    private double X(double x) => Left + (Width * (x - LowX) / (HighX - LowX));

    private IEnumerable<XElement> Grid(Func<double, string> labelX, Func<double, string> labelY)
    {
        for (int line = 0; line <= Lines; line++)
        {
            double x = LowX + ((HighX - LowX) * line / Lines);
            double y = LowY + ((HighY - LowY) * line / Lines);
            var place = Place(x, y);
            yield return E("line.grid", At(("x1", Left), ("x2", Left + Width), ("y1", place.Y), ("y2", place.Y)));
            yield return E("text.end", At(("x", Left - 6), ("y", place.Y + 3)), labelY(y));
            yield return E(line == 0 ? "text.below" : line == Lines ? "text.end.below" : "text.middle.below", At(("x", place.X), ("y", Top + Height + 15)), labelX(x));
        }
    }
}
