using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Statistics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Makes sure that every layer's statistics are in the cache.</summary>
/// <remarks>
/// Where they are found depends on everything that flows into them, the user's code included. What a layer's result depends on
/// is their content: when new code leaves the numbers as they were, nothing is solved again.
/// </remarks>
internal sealed class StatisticsPhase(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Raised when collectors change what they compute.</summary>
    private const int CollectorVersion = 1;

    /// <summary>The file with each layer's statistics, by path; layers that need none are absent.</summary>
    public IReadOnlyDictionary<string, string> Collect(IReadOnlyList<LayerUnit> units, CancellationToken cancellation)
    {
        var keys = units.Where(unit => unit.Needs != StatisticKinds.None).ToDictionary(unit => unit.Path, Key);
        var files = Find(keys);
        if (files.ContainsValue(null))
        {
            // One pass through the data serves all layers, so one claim does.
            using var claim = store.Claim(RunKey().ToString(), cancellation);
            CollectMissing(units, keys, files, cancellation);
        }

        return files.ToDictionary(file => file.Key, file => file.Value!);
    }

    /// <summary>The file with each layer's statistics, or null where they are not in the cache, by path; layers that need none are absent.</summary>
    /// <exception cref="PipelineException">PDSL1005: some are not, and there is no calibration data to collect them on.</exception>
    public IReadOnlyDictionary<string, string?> Find(IReadOnlyList<LayerUnit> units)
    {
        var files = Find(units.Where(unit => unit.Needs != StatisticKinds.None).ToDictionary(unit => unit.Path, Key));
        if (files.ContainsValue(null))
        {
            RequireData();
        }

        return files;
    }

    private Dictionary<string, string?> Find(Dictionary<string, string> keys) => keys.ToDictionary(key => key.Key, key => store.Find(key.Value));

    private Calibration RequireData() => run.Recipe.Calibrate ?? throw new PipelineException(
        DiagnosticIds.MissingSetting, $"recipe '{run.Recipe.Name}' has steps that need calibration data; add 'calibrate'", run.Recipe.Span);

    private void CollectMissing(IReadOnlyList<LayerUnit> units, Dictionary<string, string> keys, Dictionary<string, string?> files, CancellationToken cancellation)
    {
        foreach (string path in files.Where(file => file.Value is null).Select(file => file.Key).ToList())
        {
            files[path] = store.Find(keys[path]);
        }

        var missing = units.Where(unit => files.TryGetValue(unit.Path, out string? file) && file is null).ToList();
        if (missing.Count > 0)
        {
            using var scope = NewDisposeScope();
            foreach (var (path, statistics) in Collect(missing, cancellation))
            {
                files[path] = store.Put(keys[path], file => StatisticsFile.Write(file, statistics));
            }
        }
    }

    private IReadOnlyDictionary<string, LayerStatistics> Collect(List<LayerUnit> units, CancellationToken cancellation)
    {
        var needs = units.ToDictionary(unit => unit.Path, unit => unit.Needs);
        var calibrate = RequireData();
        var watch = Stopwatch.StartNew();
        observer.Progress($"{run.Recipe.Name}: calibrating {needs.Count} layers on {calibrate.Data}");
        var data = run.OpenData(RecipeFiles.Calibration, calibrate.Samples, calibrate.SequenceLength);
        var device = options.TensorDevice;
        run.Model.to(device);
        var statistics = UserCode.Call(run.Recipe, "calibration failed", () => StatisticsCollector.Collect(
            pipeline, run.Model, needs, () => pipeline.CalibrationBatches(data).Select(batch => batch.To(device)), run.Recipe.Seed, calibrate.Span, cancellation));
        run.Model.to(CPU);
        observer.Record($"statistics {run.Recipe.Name} layers={needs.Count}");
        observer.Record(WorkRates.Entry(new CostModel(run).Statistics(units), options.Device, watch.Elapsed.TotalSeconds));
        observer.Progress(string.Create(CultureInfo.InvariantCulture, $"{run.Recipe.Name}: calibrated in {watch.Elapsed.TotalSeconds:0.0} s"));
        return statistics;
    }

    private string Key(LayerUnit unit) => RunKey()
        .Add("layer", unit.Path)
        .Add("needs", unit.Needs.ToString())
        .ToString();

    private ContentKey RunKey()
    {
        var calibrate = run.Recipe.Calibrate;
        return run.ModelKey("statistics", RecipeFiles.Calibration, options)
            .Add("collector", CollectorVersion)
            .Add("samples", calibrate?.Samples ?? 0)
            .Add("length", calibrate?.SequenceLength ?? 0)
            .Add("seed", run.Recipe.Seed);
    }
}
