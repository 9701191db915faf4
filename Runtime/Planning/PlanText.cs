using System.Text.Json;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Planning;

/// <summary>Writes plans for people and for programs.</summary>
public static class PlanText
{
    private const int Schema = 1;

    /// <summary>The lines of a plain text table, one a layer, with what the phases take and the totals below it.</summary>
    public static IReadOnlyList<string> ToLines(PlanReport plan)
    {
        string budget = plan.Budget is { } shared ? $", budget {shared.Text} ({shared.Method})" : "";
        return
        [
            $"{plan.Recipe}: plan of {plan.Model} on {plan.Device}{budget}",
            .. TextTable.Lines(["layer", "shape", "steps", ">before", ">after", ">time", ">memory", "cached"], [.. plan.Layers.Select(Row)]).Select(line => "  " + line),
            .. Totals(plan),
        ];
    }

    /// <summary>What <c>plan.json</c> holds: <c>schema</c>, and in <c>recipes</c> the names of <see cref="PlanReport"/> in camel case; ends in a line feed.</summary>
    public static string ToJson(IReadOnlyList<PlanReport> plans) => JsonSerializer.Serialize(new { Schema, Recipes = plans }, JsonLayout.Options) + "\n";

    /// <summary>Reads <c>plan.json</c>.</summary>
    /// <exception cref="JsonException">It is no plan, or one of another layout.</exception>
    public static IReadOnlyList<PlanReport> Read(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.TryGetProperty("schema", out var schema) && schema.TryGetInt32(out int number) && number == Schema
            ? document.RootElement.GetProperty("recipes").Deserialize<PlanReport[]>(JsonLayout.Options) ?? []
            : throw new JsonException("it is no plan of layout 1");
    }

    private static string[] Row(PlanLayer layer) =>
    [
        layer.Path,
        Figures.Shape(layer.Shape),
        layer.Summary,
        Figures.Bytes(layer.BytesBefore),
        layer.BytesAfter is { } bytes ? Figures.Bytes(bytes) : "?",
        layer.IsCached ? Figures.Missing : Figures.Seconds(layer.Seconds),
        layer.IsCached ? Figures.Missing : Figures.Bytes(layer.MemoryBytes),
        layer.WaitsFor switch { null => "yes", "solving" => "no", { } cause => $"no ({cause})" },
    ];

    private static IEnumerable<string> Totals(PlanReport plan)
    {
        var totals = plan.Totals;
        bool isOpen = plan.Budget is { IsAllocated: false };
        yield return $"  {Figures.Count(totals.Layers, "layer")}, {totals.CachedLayers} in the cache; all tensors {Figures.Bytes(totals.BytesBefore)} → {(isOpen ? "at most " : "")}{Figures.Bytes(totals.BytesAfter)} (predicted)";
        if (isOpen)
        {
            yield return "  what the budget leaves to each layer is known after a build has allocated it: it is measured, and not all of it is in the cache";
        }

        yield return "  " + string.Join(", ", plan.Phases.Select(phase => $"{phase.Name} {phase.Cached} of {phase.Units} cached{(phase.Cached < phase.Units ? $" ({Figures.Seconds(phase.Seconds)})" : "")}"));
        bool guessed = plan.Layers.Any(layer => !layer.IsCached && !layer.IsMeasured);
        yield return totals.Seconds == 0
            ? "  nothing is left to compute"
            : $"  about {Figures.Seconds(totals.Seconds)} on {Figures.Count(plan.Cores, "core")}{(guessed ? ", a guess until a build has measured this machine" : ", as earlier builds measured")}; {Figures.Bytes(totals.MemoryBytes)} of memory beside the model's {Figures.Bytes(totals.ModelBytes)}";
        yield return plan.Lock switch
        {
            { State: "missing" } => $"  lock: '{plan.Lock.Path}' is missing; a build writes it",
            { State: "unknown" } => $"  lock: '{plan.Lock.Path}' is compared after the allocation",
            { State: "differs" } => $"  lock: '{plan.Lock.Path}' differs in {Figures.Count(plan.Lock.Differences.Count, "place")}",
            _ => $"  lock: agrees with '{plan.Lock.Path}'",
        };
    }
}
