using System.Diagnostics;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Export;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Runs a recipe from plan to artifact.</summary>
/// <param name="options">Where and how recipes are run.</param>
/// <param name="observer">Hears problems, progress and journal entries.</param>
public sealed class PipelineRunner(RunOptions options, IRunObserver observer)
{
    private readonly ContentStore store = new(options.CacheDirectory, remote: options.CacheServer is { } server ? new(server, observer) : null);

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
        using var use = store.Use(() => observer.Progress($"{recipe.Name}: waiting until the cache is cleared"), cancellation);
        observer.Progress($"{recipe.Name}: planning");
        using var run = new Planner(options, observer).Prepare(pipeline);
        var planLock = new PlanLock(options, observer);
        if (recipe.Budget is null)
        {
            planLock.Check(run);
        }

        var export = new ExportPhase(run, observer);
        export.Check();
        clock.Finish("plan");

        var statistics = new StatisticsPhase(pipeline, run, store, options, observer).Collect(Units(run), cancellation);
        clock.Finish("statistics");

        var loss = new CalibrationLoss(pipeline, run, store, options);
        AllocationRecord? allocation = null;
        if (recipe.Budget is { } budget)
        {
            allocation = new AllocationPhase(pipeline, run, budget, loss, store, options, observer).Allocate(Units(run), statistics, cancellation);
            planLock.Check(run);
            clock.Finish("allocate");
        }

        using var solved = new SolvePhase(run, store, options, observer).Solve(Units(run), statistics, cancellation);
        clock.Finish("solve");

        if (solved.Layers.Values.Any(layer => layer.Unit.Reconstruction is not null))
        {
            new ReconstructionPhase(pipeline, run, store, options, observer).Reconstruct(solved, statistics, cancellation);
            clock.Finish("reconstruct");
        }

        using var trained = new TrainingPhase(pipeline, run, store, options, observer).Train(solved, cancellation);
        if (trained is not null)
        {
            clock.Finish("train");
        }

        var analysis = new AnalysisPhase(pipeline, run, store, options, observer).Analyze(solved, trained, cancellation);
        if (analysis is not null)
        {
            clock.Finish("analyze");
        }

        var blocks = new StackOrderPhase(pipeline, run, store, options, observer).Order(solved, cancellation);
        clock.Finish("order");

        using var artifact = ArtifactWriter.Stage(run, solved, options.OutputDirectory);
        clock.Finish("write");

        var training = trained is null ? null : new AdapterPhase(run, observer).Write(trained, artifact.Folder);
        var exports = export.Write(solved, artifact.Folder);
        if (exports is not null)
        {
            clock.Finish("export");
        }

        if (allocation is not null && recipe.Allocate.IsMeasured())
        {
            allocation = allocation with { MeasuredDistortion = loss.Increase([.. solved.Layers.Values], cancellation) };
        }

        var evaluation = new EvaluationPhase(pipeline, run, store, options, observer);
        var quality = evaluation.Measure(solved, artifact.Digest, cancellation);
        clock.Finish("evaluate");

        var manifest = artifact.Describe(solved, blocks, quality, options.Device) with { Allocation = allocation, Exports = exports, Training = training, Analysis = analysis?.Write(artifact.Folder) };
        RequireBudget(manifest, recipe);
        var facts = new RunFacts(clock.Phases, solved.Seconds, solved.Cached);
        if (EvaluationPhase.IsRefused(quality))
        {
            throw evaluation.Refusal(quality!, solved, artifact.Refuse(manifest, facts));
        }

        var files = artifact.Publish(manifest, facts);
        string lockFile = planLock.Keep(run);
        observer.Record($"recipe {recipe.Name} solved={solved.Seconds.Count} cached={solved.Cached.Count}");
        return new RunResult(recipe.Name, manifest, files, [.. run.Paths.Values.SelectMany(FilesOf), lockFile]);
    }

    private static void RequireBudget(Manifest manifest, Recipe recipe)
    {
        if (manifest.Allocation is { } allocation && manifest.Bytes.After > allocation.BudgetBytes)
        {
            throw new PipelineException(DiagnosticIds.BudgetNotAttainable, $"the artifact takes {manifest.Bytes.After} bytes and the budget is {allocation.BudgetBytes}: a solver stored more than its step predicts; leave more room or name the ranks", recipe.Budget!.Span);
        }
    }

    private static List<LayerUnit> Units(PreparedRun run) => [.. run.Layers.Select(item => new LayerUnit(run, item.Plan, item.Layer))];

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
