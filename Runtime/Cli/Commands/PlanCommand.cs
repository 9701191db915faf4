using System.ComponentModel;
using System.Text.Json;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Runtime.Report;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Says what a build would do, what of it is cached, and how long the rest takes.</summary>
internal sealed class PlanCommand(Terminal terminal) : ResultCommand<PlanCommand.Settings>(terminal)
{
    /// <inheritdoc/>
    protected override string Verb => "PlanModels";

    /// <inheritdoc/>
    protected override string FileProperty => "PipelineDslPlanFile";

    /// <inheritdoc/>
    protected override void Show(JsonElement result, Settings settings)
    {
        foreach (var plan in result.GetProperty("recipes").EnumerateArray())
        {
            Show(plan, settings.Brief);
        }
    }

    private void Show(JsonElement plan, bool brief)
    {
        var totals = plan.GetProperty("totals");
        Terminal.Line($"{Text(plan, "recipe")}: {Text(plan, "model")} on {Text(plan, "device")}", "bold");
        if (!brief)
        {
            Terminal.Table(["layer", "shape", "steps", ">before", ">after", ">time", "cached"], [.. plan.GetProperty("layers").EnumerateArray().Select(Row)]);
        }

        bool isOpen = Find(plan, "budget") is { } budget && !budget.GetProperty("isAllocated").GetBoolean();
        Terminal.Line($"  {Figures.Count(Number(totals, "layers"), "layer")}, {Number(totals, "cachedLayers")} in the cache; all tensors {Figures.Bytes(Number(totals, "bytesBefore"))} → {(isOpen ? "at most " : "")}{Figures.Bytes(Number(totals, "bytesAfter"))}");
        foreach (var phase in plan.GetProperty("phases").EnumerateArray())
        {
            bool done = Number(phase, "cached") == Number(phase, "units");
            Terminal.Line($"  {Text(phase, "name")}: {Number(phase, "cached")} of {Number(phase, "units")} cached{(done ? "" : $", {Figures.Seconds(phase.GetProperty("seconds").GetDouble())} to go")}");
        }

        double seconds = totals.GetProperty("seconds").GetDouble();
        Terminal.Line(seconds == 0 ? "  nothing is left to compute" : $"  about {Figures.Seconds(seconds)} in all, with {Figures.Bytes(Number(totals, "memoryBytes"))} of memory beside the model's {Figures.Bytes(Number(totals, "modelBytes"))}");
        string state = Text(plan.GetProperty("lock"), "state");
        Terminal.Line($"  lock file: {state}", state == "differs" ? "yellow" : null);
        foreach (var difference in plan.GetProperty("lock").GetProperty("differences").EnumerateArray())
        {
            Terminal.Line($"    {difference.GetString()}");
        }
    }

    private static Cell[] Row(JsonElement layer)
    {
        bool cached = layer.GetProperty("isCached").GetBoolean();
        return
        [
            Text(layer, "path"),
            Figures.Shape([.. layer.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())]),
            Text(layer, "summary"),
            Figures.Bytes(Number(layer, "bytesBefore")),
            Find(layer, "bytesAfter") is { } after ? Figures.Bytes(after.GetInt64()) : "?",
            cached ? Figures.Missing : Figures.Seconds(layer.GetProperty("seconds").GetDouble()),
            cached ? new Cell("yes", "green") : Find(layer, "waitsFor")?.GetString() is { } cause && cause != "solving" ? $"no ({cause})" : "no",
        ];
    }

    /// <summary>How much is told.</summary>
    internal sealed class Settings : ProjectSettings
    {
        /// <summary>Whether layers are left out.</summary>
        [CommandOption("--brief")]
        [Description("The totals, without a line a layer")]
        public bool Brief { get; set; }
    }
}
