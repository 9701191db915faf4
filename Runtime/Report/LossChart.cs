using System.Xml.Linq;
using PipelineDsl.Runtime.Artifacts;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>Draws how the losses fell in training, on training and on held-out data.</summary>
internal static class LossChart
{
    /// <summary>What stays free above and below the curves, of their range.</summary>
    private const double Room = 0.05;

    /// <summary>The chart, with its caption.</summary>
    /// <param name="training">At least two points in one of its curves.</param>
    public static XElement Draw(TrainingRecord training)
    {
        var points = training.Losses.Concat(training.Validation).ToList();
        double low = points.Min(point => point.Loss), high = points.Max(point => point.Loss);
        double room = high > low ? (high - low) * Room : 0.5;
        var axes = new ChartAxes(0, Math.Max(1, points.Max(point => point.Step)), low - room, high + room);
        return E("figure.chart",
            axes.Draw("losses", "Loss by step", Describe(training), step => (step == 0 ? "step " : "") + Figures.Whole((long)step), loss => Figures.Number(loss),
                Curve("line.faint", training.Losses),
                Curve("line", training.Validation),
                training.Validation.Select(point => axes.Dot(point.Step, point.Loss, 2.5)),
                training.KeptStep > 0 && training.KeptStep < training.Steps ? axes.Mark(training.KeptStep, "kept") : null),
            E("figcaption",
                training.Losses.Count > 0 ? E("span.key.faint", "training") : null,
                training.Validation.Count > 0 ? new object[] { " ", E("span.key", "held out") } : null));

        XElement? Curve(string kind, IReadOnlyList<LossPoint> losses) => losses.Count < 2 ? null : axes.Curve(kind, losses.Select(point => ((double)point.Step, point.Loss)));
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
}
