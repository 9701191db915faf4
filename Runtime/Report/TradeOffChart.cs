using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws what other sizes would lose, and where the build stands.</summary>
internal static class TradeOffChart
{
    private const double Left = 52;
    private const double Top = 10;
    private const double Width = 576;
    private const double Height = 180;
    private const int Lines = 4;

    /// <summary>The chart, with its caption.</summary>
    /// <param name="curve">At least two points.</param>
    public static XElement Draw(TradeOff curve)
    {
        var points = curve.Points.Append(curve.Chosen).ToList();
        double low = points.Min(point => point.Bytes);
        double high = Math.Max(low + 1, points.Max(point => point.Bytes));
        double most = points.Max(point => point.Loss);
        double least = Math.Min(0, points.Min(point => point.Loss));
        double range = most > least ? most - least : 1;
        double X(double bytes) => Left + (Width * (bytes - low) / (high - low));
        double Y(double loss) => Top + (Height * (1 - ((loss - least) / range)));
        var grid = Enumerable.Range(0, Lines + 1).SelectMany(line =>
        {
            double bytes = low + ((high - low) * line / Lines);
            double loss = least + (range * line / Lines);
            return new[]
            {
                E("line.grid", At(("x1", Left), ("x2", Left + Width), ("y1", Y(loss)), ("y2", Y(loss)))),
                E("text.end", At(("x", Left - 6), ("y", Y(loss) + 3)), Text(curve, loss)),
                E(line == 0 ? "text" : line == Lines ? "text.end" : "text.middle", At(("x", X(bytes)), ("y", Top + Height + 15)), Figures.Bytes((long)bytes)),
            };
        });
        double chosen = X(curve.Chosen.Bytes);
        return E("figure.losses",
            E("svg", A("viewBox", "0 0 640 226"), A("role", "img"), A("aria-labelledby", "tradeoff-curve-title tradeoff-curve-text"),
                E("title", A("id", "tradeoff-curve-title"), "Loss by size"),
                E("desc", A("id", "tradeoff-curve-text"), Describe(curve)),
                grid,
                E("polyline.line", A("points", string.Join(' ', curve.Points.Select(point => Figures.Coordinate(X(point.Bytes)) + "," + Figures.Coordinate(Y(point.Loss)))))),
                E("line.cut", At(("x1", chosen), ("x2", chosen), ("y1", Top), ("y2", Top + Height))),
                E("circle.dot", At(("cx", chosen), ("cy", Y(curve.Chosen.Loss)), ("r", 4))),
                E("text.middle", At(("x", Math.Clamp(chosen, Left + 30, Left + Width - 30)), ("y", Top + Height + 30)), "this build")),
            E("figcaption", curve.IsAllocated ? "Foretold loss by bytes of all tensors." : "Share of energy given up by the decomposed layers, by bytes of all tensors."));
    }

    /// <summary>A loss in the measure of the curve.</summary>
    public static string Text(TradeOff curve, double loss) => curve.IsAllocated ? Figures.Number(loss) : Figures.Percent(loss);

    private static string Describe(TradeOff curve)
    {
        var (smallest, largest) = (curve.Points[0], curve.Points[^1]);
        return $"From {Figures.Bytes(smallest.Bytes)} with a loss of {Text(curve, smallest.Loss)} to {Figures.Bytes(largest.Bytes)} with {Text(curve, largest.Loss)}; this build has {Figures.Bytes(curve.Chosen.Bytes)} and {Text(curve, curve.Chosen.Loss)}. The table below holds the points.";
    }
}
