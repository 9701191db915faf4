using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws what other sizes would lose, and where the build stands.</summary>
internal static class TradeOffChart
{
    /// <summary>The chart, with its caption.</summary>
    /// <param name="curve">At least two points.</param>
    public static XElement Draw(TradeOff curve)
    {
        var points = curve.Points.Append(curve.Chosen).ToList();
        double low = points.Min(point => point.Bytes);
        double high = Math.Max(low + 1, points.Max(point => point.Bytes));
        double most = points.Max(point => point.Loss);
        double least = Math.Min(0, points.Min(point => point.Loss));
        var axes = new ChartAxes(low, high, least, most > least ? most : least + 1);
        return E("figure.chart",
            axes.Draw("tradeoff-curve", "Loss by size", Describe(curve), bytes => Figures.Bytes((long)bytes), loss => Text(curve, loss),
                axes.Curve("line", curve.Points.Select(point => ((double)point.Bytes, point.Loss))),
                axes.Mark(curve.Chosen.Bytes, "this build"),
                axes.Dot(curve.Chosen.Bytes, curve.Chosen.Loss, 4)),
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
