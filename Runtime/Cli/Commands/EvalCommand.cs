using System.Text.Json;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Cli.Commands;

/// <summary>Measures the artifacts of the last build again.</summary>
internal sealed class EvalCommand(Terminal terminal) : ResultCommand<ProjectSettings>(terminal)
{
    /// <inheritdoc/>
    protected override string Verb => "EvaluateModels";

    /// <inheritdoc/>
    protected override string FileProperty => "PipelineDslEvaluationFile";

    /// <inheritdoc/>
    protected override string NoAnswer => "no recipe of the project says how quality is measured; add a line such as 'evaluate: { data: data/test.txt, metric: perplexity }' to one";

    /// <inheritdoc/>
    protected override void Show(JsonElement result, ProjectSettings settings) => Terminal.Table(
        ["recipe", "metric", ">original", ">compressed", ">change", ">limit", "kept"],
        [.. result.GetProperty("recipes").EnumerateArray().Select(Row)]);

    private static Cell[] Row(JsonElement report)
    {
        bool passed = report.GetProperty("passed").GetBoolean();
        return
        [
            Text(report, "recipe"),
            Text(report, "metric"),
            Figures.Metric(report.GetProperty("original").GetDouble()),
            Figures.Metric(report.GetProperty("compressed").GetDouble()),
            Figures.Change(report.GetProperty("regression").GetDouble()),
            Find(report, "maxRegression") is { } limit ? Figures.Limit(limit.GetDouble()) : Figures.Missing,
            passed ? new("yes", "green") : new("no", "red"),
        ];
    }
}
