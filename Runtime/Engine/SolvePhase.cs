using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Statistics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Solves every layer that is not in the cache, several at once; each on one thread, so that results do not depend on how many.</summary>
internal sealed class SolvePhase(PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    private readonly ConcurrentDictionary<string, double> seconds = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, bool> elsewhere = new(StringComparer.Ordinal);
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(2);

    private readonly Lock gate = new();
    private readonly Stopwatch watch = Stopwatch.StartNew();
    private TimeSpan lastProgress;

    /// <summary>Solves the units; the caller owns the result.</summary>
    /// <param name="units">The layers.</param>
    /// <param name="statistics">The file with each layer's statistics, by path.</param>
    /// <param name="cancellation">Stops between layers.</param>
    public SolvedLayers Solve(IReadOnlyList<LayerUnit> units, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var keys = units.ToDictionary(unit => unit.Path, unit => unit.Key(statistics, options.Device));
        var files = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        foreach (var unit in units)
        {
            if (store.Find(keys[unit.Path]) is { } found)
            {
                files[unit.Path] = found;
            }
        }

        var cached = files.Keys.ToHashSet(StringComparer.Ordinal);
        var open = units.Where(unit => !cached.Contains(unit.Path)).OrderByDescending(unit => unit.Plan.Shape.Count).ToList();
        WorkerThreads.Run(open, options.Cores, unit =>
        {
            files[unit.Path] = SolveOne(unit, keys[unit.Path], statistics.GetValueOrDefault(unit.Path), cancellation);
            Report(unit, open.Count);
        }, cancellation);
        cached.UnionWith(elsewhere.Keys);
        observer.Progress(string.Create(CultureInfo.InvariantCulture, $"{run.Recipe.Name}: {seconds.Count} layers solved in {watch.Elapsed.TotalSeconds:0.0} s, {cached.Count} from the cache"));

        var layers = new SortedDictionary<string, SolvedUnit>(StringComparer.Ordinal);
        foreach (var unit in units)
        {
            layers[unit.Path] = new(unit, keys[unit.Path], StoredLayer.Open(files[unit.Path]));
            foreach (string note in layers[unit.Path].Summary.Notes)
            {
                observer.Report(new(DiagnosticIds.SolverAdjusted, Severity.Warning, $"layer '{unit.Path}': {note}", unit.Plan.Span));
            }
        }

        return new(layers, seconds.ToDictionary(), cached);
    }

    /// <summary>Solves a layer, unless another process that shares the cache has just done so.</summary>
    private string SolveOne(LayerUnit unit, string key, string? statisticsFile, CancellationToken cancellation)
    {
        using var claim = store.Claim(key, cancellation);
        if (store.Find(key) is { } found)
        {
            elsewhere[unit.Path] = true;
            return found;
        }

        var started = Stopwatch.StartNew();
        string file = run.Memory.Within(unit.Plan, () =>
        {
            using var scope = NewDisposeScope();
            using var solved = unit.Solve(statisticsFile is null ? LayerStatistics.None : StatisticsFile.Read(statisticsFile));
            return store.Put(key, solved.Write);
        }, cancellation);
        seconds[unit.Path] = started.Elapsed.TotalSeconds;
        observer.Record($"layer {run.Recipe.Name} {unit.Path}");
        observer.Record(WorkRates.Entry(CostModel.Solve(unit), options.Device, seconds[unit.Path]));
        return file;
    }

    private void Report(LayerUnit unit, int total)
    {
        lock (gate)
        {
            if (watch.Elapsed - lastProgress < ProgressInterval)
            {
                return;
            }

            lastProgress = watch.Elapsed;
            int done = seconds.Count + elsewhere.Count;
            double remaining = watch.Elapsed.TotalSeconds / done * (total - done);
            observer.Progress(string.Create(CultureInfo.InvariantCulture, $"{run.Recipe.Name}: {done} of {total} layers, last {unit.Path} in {seconds.GetValueOrDefault(unit.Path):0.0} s, about {remaining:0} s to go"));
        }
    }
}

/// <summary>All solved layers of a recipe, by path.</summary>
/// <param name="Layers">The layers.</param>
/// <param name="Seconds">Solving time of the layers that were computed.</param>
/// <param name="Cached">Paths of the layers that came from the cache.</param>
internal sealed record SolvedLayers(SortedDictionary<string, SolvedUnit> Layers, IReadOnlyDictionary<string, double> Seconds, IReadOnlySet<string> Cached) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        // What nobody asked for has not been read.
        foreach (var layer in Layers.Values)
        {
            layer.Dispose();
        }
    }
}
