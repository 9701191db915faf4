using System.ComponentModel;
using System.Globalization;
using PipelineDsl.Cli.Inspection;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Gguf;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Report;
using Spectre.Console;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Looks into weights, artifacts and adapters.</summary>
internal sealed class InspectCommand(Terminal terminal) : Command<InspectCommand.Settings>
{
    private const int LongestValue = 80;

    /// <inheritdoc/>
    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        string path = settings.Target;
        var selection = new Selection(path, settings.Filter, settings.Statistics, terminal, cancellationToken);
        if (File.Exists(Path.Combine(path, ArtifactFiles.Manifest)))
        {
            Show(ArtifactInspection.Of(path, selection), settings.Json);
        }
        else if (File.Exists(Path.Combine(path, PeftFolder.ConfigFile)))
        {
            var (config, weights, warnings) = PeftFolder.Open(path);
            using (weights)
            {
                Show(WeightsInspection.OfAdapter(path, config, weights, selection), settings, warnings);
            }
        }
        else if (Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase))
        {
            using var file = GgufFile.Open(path);
            Show(WeightsInspection.OfGguf(file, selection), settings, []);
        }
        else
        {
            using var store = WeightStore.Open(path);
            Show(WeightsInspection.OfSafetensors(store, selection), settings, store.Warnings);
        }

        return ExitCodes.Fine;
    }

    private void Show(WeightsInspection weights, Settings settings, IReadOnlyList<RecipeDiagnostic> warnings)
    {
        foreach (var warning in warnings)
        {
            terminal.Report(warning);
        }

        if (settings.Json)
        {
            terminal.Json(weights);
            return;
        }

        string of = weights.Tensors.Count < weights.Count ? $" of {weights.Count}" : "";
        terminal.Line($"{weights.Path}: {weights.Tensors.Count}{of} tensors, {weights.Elements:#,0} values, {Figures.Bytes(weights.Bytes)}", "bold");
        foreach (var (key, value) in weights.Metadata.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            terminal.Line($"  {key}: {Short(value)}");
        }

        string[] head = ["name", "dtype", "shape", ">bytes", .. settings.Statistics ? [">min", ">max", ">mean", ">NaN", ">infinite"] : Array.Empty<string>()];
        terminal.Table(head, [.. weights.Tensors.Select(tensor => Row(tensor, settings.Statistics))]);
        var types = weights.Tensors.GroupBy(tensor => tensor.Dtype).ToList();
        if (types.Count > 1)
        {
            terminal.Line(string.Join(", ", types.OrderByDescending(type => type.Sum(tensor => tensor.Bytes)).Select(type => $"{type.Key}: {Figures.Count(type.Count(), "tensor")}, {Figures.Bytes(type.Sum(tensor => tensor.Bytes))}")));
        }
    }

    private static Cell[] Row(InspectedTensor tensor, bool statistics)
    {
        Cell[] row = [tensor.Name, tensor.Dtype, $"[{string.Join(", ", tensor.Shape)}]", Figures.Whole(tensor.Bytes)];
        return !statistics ? row
            : tensor.Statistics is not { } values ? [.. row, Figures.Missing, Figures.Missing, Figures.Missing, Figures.Missing, Figures.Missing]
            : [.. row, Figures.Number(values.Min), Figures.Number(values.Max), Figures.Number(values.Mean), Suspicious(values.NaNs), Suspicious(values.Infinities)];
    }

    private static Cell Suspicious(long count) => new(Figures.Whole(count), count > 0 ? "red" : null);

    private void Show(ArtifactInspection artifact, bool json)
    {
        if (json)
        {
            terminal.Json(artifact);
            return;
        }

        terminal.Line($"{artifact.Recipe}: {artifact.Model}", "bold");
        terminal.Line($"  bytes: {artifact.Bytes.Before:#,0} → {artifact.Bytes.After:#,0} ({Figures.Ratio(artifact.Bytes.Before, artifact.Bytes.After)})");
        if (artifact.Quality is { } quality)
        {
            terminal.Line($"  {quality.Metric}: {Figures.Metric(quality.Before)} → {Figures.Metric(quality.After)} ({Figures.Change(quality.Regression)}{(quality.MaxRegression is { } limit ? $", limit {Figures.Limit(limit)}" : "")})");
        }

        terminal.Line($"  made by: PipelineDsl {artifact.Engine} on {artifact.Device}");
        if (artifact.Exports.Count > 0 || artifact.HasAdapter)
        {
            terminal.Line($"  beside the weights: {string.Join(", ", [.. artifact.Exports, .. artifact.HasAdapter ? ["adapter"] : Array.Empty<string>()])}");
        }

        if (artifact.Layers.Count > 0)
        {
            terminal.Table(["layer", "shape", "form", ">bits", ">before", ">after", ">error"], [.. artifact.Layers.Select(Row)]);
        }

        if (artifact.Kept.Count > 0)
        {
            terminal.Line($"kept as they were: {Figures.Count(artifact.Kept.Count, "tensor")}, {Figures.Bytes(artifact.Kept.Sum(tensor => tensor.Bytes))}");
        }

        foreach (string warning in artifact.Warnings)
        {
            terminal.Line($"warning: {warning}", "yellow");
        }
    }

    private static Cell[] Row(InspectedLayer layer) =>
    [
        layer.Path,
        $"[{string.Join(", ", layer.Shape)}]",
        layer.Form,
        layer.BitsPerWeight.ToString("0.00", CultureInfo.InvariantCulture),
        Figures.Whole(layer.BytesBefore),
        Figures.Whole(layer.BytesAfter),
        Figures.Percent(layer.RelativeError),
    ];

    private static string Short(string value) => value.ReplaceLineEndings(" ") is var line && line.Length > LongestValue ? line[..LongestValue] + "…" : line;

    /// <summary>What to look into, and how closely.</summary>
    internal sealed class Settings : OutputSettings
    {
        /// <summary>The file or folder.</summary>
        [CommandArgument(0, "<PATH>")]
        [Description("A .safetensors or .gguf file, a folder of shards, an artifact's folder, or an adapter's")]
        public string Target { get; set; } = "";

        /// <summary>Chooses by name.</summary>
        [CommandOption("--filter <PATTERN>")]
        [Description("Only names that match: a pattern as in recipes, in which '*' may also stand for dots")]
        public string? Filter { get; set; }

        /// <summary>Whether values are read.</summary>
        [CommandOption("--stats")]
        [Description("Reads all values: least, greatest and mean of the finite ones, and how many are NaN or infinite")]
        public bool Statistics { get; set; }

        /// <inheritdoc/>
        public override ValidationResult Validate() =>
            NameFilter.FindProblem(Filter) is { } problem ? ValidationResult.Error($"--filter: {problem}") : ValidationResult.Success();
    }
}
