using System.Xml.Linq;

using static PipelineDsl.Runtime.Report.Markup;

namespace PipelineDsl.Runtime.Report;

/// <summary>The table of all compressed layers; columns that no layer fills are left out.</summary>
internal static class LayerTable
{
    private sealed record Column(string Name, bool IsNumber, Func<ReportLayer, XElement> Cell, Func<ReportLayer, bool>? Has = null);

    private static readonly Column[] Columns =
    [
        new("Layer", false, layer => E("th.path", A("scope", "row"), Dotted(layer))),
        new("Kind", false, layer => E("td", layer.Record.Kind)),
        new("Shape", true, layer => Cell(layer.Record.Shape.Aggregate(1.0, (product, size) => product * size), Figures.Shape(layer.Record.Shape))),
        new("Steps", false, Steps),
        new("Before", true, layer => Cell(layer.Record.BytesBefore, Figures.Bytes(layer.Record.BytesBefore))),
        new("After", true, After),
        new("Ratio", true, layer => Cell((double)layer.Record.BytesBefore / Math.Max(1, layer.Record.BytesAfter), Figures.Ratio(layer.Record.BytesBefore, layer.Record.BytesAfter))),
        new("Relative error", true, Error),
        new("Trained change", true, layer => Cell(layer.TrainedChange, Figures.Percent(layer.TrainedChange)), layer => layer.TrainedChange is not null),
        new("Predicted loss", true, layer => Cell(layer.PredictedLoss, Figures.Number(layer.PredictedLoss)), layer => layer.PredictedLoss is not null),
        new("Rank", true, layer => Cell(layer.Rank, layer.Rank is { } rank ? Figures.Whole(rank) : Figures.Missing), layer => layer.Rank is not null),
        new("Solved", false, layer => E("td", layer.Cached ? "from cache" : "computed")),
        new("Time", true, layer => Cell(layer.Seconds, Figures.Seconds(layer.Seconds)), layer => layer.Seconds is not null),
    ];

    /// <summary>The table in a frame that scrolls sideways where the screen is narrow.</summary>
    public static XElement Draw(IReadOnlyList<ReportLayer> layers)
    {
        Column[] columns = [.. Columns.Where(column => column.Has is null || layers.Any(column.Has))];
        return E("div.scroll", A("tabindex", "0"), A("role", "region"), A("aria-labelledby", "layers-caption"),
            E("table", A("data-sortable", ""),
                E("caption", A("id", "layers-caption"), $"{Figures.Count(layers.Count, "changed layer")}"),
                E("thead", E("tr", columns.Select(column => E(column.IsNumber ? "th.num" : "th", A("scope", "col"), column.Name)))),
                E("tbody", layers.Select(layer => E("tr", A("id", layer.Anchor), columns.Select(column => column.Cell(layer)), "\n")))));
    }

    private static XElement Cell(double? value, params object[] content) => E("td.num", A("data-value", Figures.Exact(value ?? -1)), content);

    private static XElement After(ReportLayer layer)
    {
        var record = layer.Record;
        double share = record.BytesBefore > 0 ? (double)record.BytesAfter / record.BytesBefore : 1;
        return Cell(record.BytesAfter, Figures.Bytes(record.BytesAfter), Bar(share));
    }

    private static XElement Error(ReportLayer layer) => Cell(layer.RelativeError, Figures.Percent(layer.RelativeError),
        E("span.swatch." + ErrorScale.ClassOf(layer.RelativeError), A("aria-hidden", "true")));

    /// <summary>A bar that is full at one; it repeats a number beside it and so is hidden from screen readers.</summary>
    public static XElement Bar(double share) => E("span.bar", A("aria-hidden", "true"),
        E("span", A("style", $"width:{Figures.Coordinate(Math.Clamp(double.IsNaN(share) ? 0 : share, 0, 1) * 100)}%")));

    private static XElement Steps(ReportLayer layer)
    {
        var record = layer.Record;
        return E("td", E("details",
            E("summary", layer.StepNames, record.Notes.Count == 0 ? null : E("span.flag", Figures.Count(record.Notes.Count, "note"))),
            E("ul",
                record.Steps.Select(step => E("li", E("code", step))),
                record.Facts.Select(fact => E("li", $"{fact.Key} {Figures.Number(fact.Value)}")),
                record.Notes.Select(note => E("li", E("strong", "Note: "), note)))));
    }
}
