using System.Diagnostics;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Runs a recipe from plan to artifact.</summary>
/// <param name="options">Where and how recipes are run.</param>
/// <param name="observer">Hears problems, progress and journal entries.</param>
public sealed class PipelineRunner(RunOptions options, IRunObserver observer)
{
    private readonly ContentStore store = new(options.CacheDirectory);

    /// <summary>Runs one recipe. The artifact's folder is replaced file by file, and only when everything succeeded.</summary>
    /// <returns>The artifact's files and every file that went in.</returns>
    /// <exception cref="PipelineException">Something is wrong, with its code and place.</exception>
    /// <exception cref="RunFailedException">Something is wrong and was reported already.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled; finished layers stay in the cache.</exception>
    public RunResult Run(IModelPipeline pipeline, CancellationToken cancellation)
    {
        var recipe = pipeline.Recipe;
        var clock = new PhaseClock();
        using var gate = FinalizerGate.Close();
        observer.Progress($"{recipe.Name}: planning");
        using var run = new Planner(options, observer).Prepare(pipeline);
        string lockFile = new PlanLock(options, observer).Check(run);
        clock.Finish("plan");

        var units = run.Layers.Select(item => new LayerUnit(run, item.Plan, item.Layer)).ToList();
        var statistics = new StatisticsPhase(pipeline, run, store, options, observer).Collect(units, cancellation);
        clock.Finish("statistics");

        using var solved = new SolvePhase(run, store, options, observer).Solve(units, statistics, cancellation);
        clock.Finish("solve");

        using var artifact = ArtifactWriter.Stage(run, solved, options.OutputDirectory);
        clock.Finish("write");

        var quality = new EvaluationPhase(pipeline, run, store, options, observer).Measure(solved, artifact.Digest, cancellation);
        clock.Finish("evaluate");

        var manifest = artifact.Describe(solved, quality, options.Device);
        var files = artifact.Publish(manifest, new RunFacts(clock.Phases, solved.Seconds, solved.Cached));
        observer.Record($"recipe {recipe.Name} solved={solved.Seconds.Count} cached={solved.Cached.Count}");
        return new RunResult(recipe.Name, manifest, files, [.. run.Paths.Values.SelectMany(FilesOf), lockFile]);
    }

    /// <summary>A folder of shards is as many inputs.</summary>
    private static IEnumerable<string> FilesOf(string path) => Directory.Exists(path) ? Directory.EnumerateFiles(path) : [path];

    private sealed class PhaseClock
    {
        private readonly Stopwatch watch = Stopwatch.StartNew();

        public List<(string Phase, double Seconds)> Phases { get; } = [];

        public void Finish(string phase)
        {
            Phases.Add((phase, watch.Elapsed.TotalSeconds));
            watch.Restart();
        }
    }
}

/// <summary>What a run left.</summary>
/// <param name="Recipe">The recipe's name.</param>
/// <param name="Manifest">The artifact's manifest.</param>
/// <param name="Files">The artifact's files, by full path.</param>
/// <param name="Inputs">Every file that went in, the lock file included, by full path.</param>
public sealed record RunResult(string Recipe, Manifest Manifest, IReadOnlyList<string> Files, IReadOnlyList<string> Inputs);
