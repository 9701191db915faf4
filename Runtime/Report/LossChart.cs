using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws how the losses fell in training, on training and on held-out data.</summary>
internal static class LossChart
{
    private const double Left = 44;
    private const double Top = 10;
    private const double Width = 584;
    private const double Height = 180;
    private const int Lines = 4;

    /// <summary>The chart, with its caption.</summary>
    /// <param name="training">At least two points in one of its curves.</param>
    public static XElement Draw(TrainingRecord training)
    {
        var axes = new Axes(training);
        return E("figure.losses",
            E("svg", A("viewBox", "0 0 640 226"), A("role", "img"), A("aria-labelledby", "losses-title losses-text"),
                E("title", A("id", "losses-title"), "Loss by step"),
                E("desc", A("id", "losses-text"), Describe(training)),
                axes.Grid(),
                Curve("line.faint", training.Losses, axes),
                Curve("line", training.Validation, axes),
                training.Validation.Select(point => E("circle.dot", At(("cx", axes.X(point.Step)), ("cy", axes.Y(point.Loss)), ("r", 2.5)))),
                training.KeptStep > 0 && training.KeptStep < training.Steps ? Kept(training.KeptStep, axes) : null),
            E("figcaption",
                training.Losses.Count > 0 ? E("span.key.faint", "training") : null,
                training.Validation.Count > 0 ? new object[] { " ", E("span.key", "held out") } : null));
    }

    /// <summary>Whether there is something to draw.</summary>
    public static bool IsDrawable(TrainingRecord training) =>
        Math.Max(training.Losses.Count, training.Validation.Count) > 1 && training.Losses.Concat(training.Validation).All(point => double.IsFinite(point.Loss));

    private static string Describe(TrainingRecord training)
    {
        var sentences = new List<string>();
        if (training.Losses is [var first, .., var last])
        {
            sentences.Add($"The training loss went from {Figures.Metric(first.Loss)} to {Figures.Metric(last.Loss)}.");
        }

        if (training.Validation is [var start, .., var end])
        {
            sentences.Add($"The held-out loss went from {Figures.Metric(start.Loss)} to {Figures.Metric(end.Loss)}; its best was {Figures.Metric(training.Validation.Min(point => point.Loss))}.");
        }

        return string.Join(' ', sentences);
    }

    private static XElement? Curve(string kind, IReadOnlyList<LossPoint> points, Axes axes) => points.Count < 2 ? null : E("polyline." + kind,
        A("points", string.Join(' ', points.Select(point => Figures.Coordinate(axes.X(point.Step)) + "," + Figures.Coordinate(axes.Y(point.Loss))))));

    private static IEnumerable<XElement> Kept(int step, Axes axes)
    {
        double x = axes.X(step);
        yield return E("line.cut", At(("x1", x), ("x2", x), ("y1", Top), ("y2", Top + Height)));
        yield return E("text.middle", At(("x", Math.Clamp(x, Left + 24, Left + Width - 24)), ("y", Top + Height + 28)), "kept");
    }

    private sealed class Axes
    {
        private readonly int last;
        private readonly double low;
        private readonly double high;

        public Axes(TrainingRecord training)
        {
            var points = training.Losses.Concat(training.Validation).ToList();
            last = Math.Max(1, points.Max(point => point.Step));
            low = points.Min(point => point.Loss);
            high = points.Max(point => point.Loss);
            double room = high > low ? (high - low) * 0.05 : 0.5;
            (low, high) = (low - room, high + room);
        }

        public double X(int step) => Left + (Width * step / last);

        public double Y(double loss) => Top + (Height * (high - loss) / (high - low));

        public IEnumerable<XElement> Grid() => Enumerable.Range(0, Lines + 1).SelectMany(line =>
        {
            double loss = low + ((high - low) * line / Lines);
            double y = Y(loss);
            int step = (int)((long)last * line / Lines);
            return new[]
            {
                E("line.grid", At(("x1", Left), ("x2", Left + Width), ("y1", y), ("y2", y))),
                E("text.end", At(("x", Left - 6), ("y", y + 3)), Figures.Number(loss)),
                E(line == 0 ? "text" : line == Lines ? "text.end" : "text.middle", At(("x", X(step)), ("y", Top + Height + 15)), (line == 0 ? "step " : "") + Figures.Whole(step)),
            };
        });
    }
}
