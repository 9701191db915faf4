using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Export;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Planning;

/// <summary>Tells what a build of a recipe would do, without doing it: resolves the plan and looks up in the cache what is there.</summary>
/// <remarks>
/// No data flows through the model, which is made without numbers where its constructor allows; nothing is written, neither to the cache nor beside the recipe. What is wrong with the recipe, its files or,
/// in locked mode, its lock is reported as a build reports it.
/// </remarks>
/// <param name="options">Where and how recipes would be run.</param>
/// <param name="observer">Hears problems.</param>
/// <param name="rates">How fast earlier runs were.</param>
public sealed class PlanRunner(RunOptions options, IRunObserver observer, WorkRates rates)
{
    private readonly ContentStore store = new(options.CacheDirectory) { IsReadOnly = true };

    /// <summary>Plans one recipe.</summary>
    /// <exception cref="PipelineException">Something is wrong, with its code and place.</exception>
    /// <exception cref="RunFailedException">Something is wrong and was reported already.</exception>
    /// <exception cref="OperationCanceledException">The plan was cancelled.</exception>
    public PlanReport Plan(IModelPipeline pipeline, CancellationToken cancellation)
    {
        using var gate = FinalizerGate.Close();
        using var run = new Planner(options, observer) { RunsNothing = true }.Prepare(pipeline);
        new ExportPhase(run, observer).Check();
        var statistics = new StatisticsPhase(pipeline, run, store, options, observer).Find(Units(run));
        var known = statistics.Where(file => file.Value is not null).ToDictionary(file => file.Key, file => file.Value!);
        var budget = Allocate(pipeline, run, known, cancellation);
        var planLock = new PlanLock(options, observer);
        if (budget is { IsAllocated: false })
        {
            planLock.RequireFile(run);
        }
        else
        {
            planLock.Check(run);
        }

        cancellation.ThrowIfCancellationRequested();
        return new Draft(pipeline, run, store, options, rates, statistics, known, budget).Finish(planLock.StateOf(run, budget is not { IsAllocated: false }));
    }

    private static List<LayerUnit> Units(PreparedRun run) => [.. run.Layers.Select(item => new LayerUnit(run, item.Plan, item.Layer))];

    /// <summary>Shares the budget out if all that it takes was measured before; then the run has its final plan.</summary>
    private PlanBudget? Allocate(IModelPipeline pipeline, PreparedRun run, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        if (run.Recipe.Budget is not { } budget)
        {
            return null;
        }

        var units = Units(run);
        var phase = new AllocationPhase(pipeline, run, budget, new CalibrationLoss(pipeline, run, store, options), store, options, new SilentObserver());
        var planned = new PlanBudget(budget.Text, SettingDescriptor.Format(run.Recipe.Allocate), phase.TotalBytes(units), true);
        try
        {
            phase.Allocate(units, statistics, cancellation);
            return planned;
        }
        catch (NotCachedException)
        {
            return planned with { IsAllocated = false };
        }
    }

    /// <summary>A plan in the making: what each layer's result is called, as far as that is known, and whether it is there.</summary>
    private sealed class Draft(
        IModelPipeline pipeline,
        PreparedRun run,
        ContentStore store,
        RunOptions options,
        WorkRates rates,
        IReadOnlyDictionary<string, string?> statistics,
        IReadOnlyDictionary<string, string> known,
        PlanBudget? budget)
    {
        private readonly List<LayerUnit> units = Units(run);
        private readonly CostModel costs = new(run);
        private readonly Dictionary<string, string> keys = new(StringComparer.Ordinal);
        private readonly Dictionary<string, string> waits = new(StringComparer.Ordinal);
        private readonly List<PlanPhase> phases = [];

        private bool IsOpen(LayerUnit unit) => budget is { IsAllocated: false } && LayerChoices.IsOpen(unit.Plan);

        public PlanReport Finish(PlanLockState state)
        {
            Statistics();
            Allocation();
            Solving();
            Reconstruction();
            Training();
            Analysis();
            Ordering();
            Evaluation();
            var layers = units.Select(Describe).ToList();
            return new()
            {
                Recipe = run.Recipe.Name,
                Model = run.Recipe.Model,
                Device = options.Device,
                Cores = options.Cores,
                Seed = run.Recipe.Seed,
                Budget = budget,
                Lock = state,
                Layers = layers,
                Phases = phases,
                Totals = new(
                    layers.Count,
                    layers.Count(layer => layer.IsCached),
                    run.Sources[RecipeFiles.Weights].Bytes,
                    budget is { IsAllocated: false } ? budget.Bytes : run.UntouchedBytes() + units.Sum(unit => LayerChoices.Bytes(unit.Plan, run.BiasBytes(unit.Layer))),
                    phases.Sum(phase => phase.Seconds),
                    phases.Max(phase => phase.MemoryBytes),
                    run.Model.parameters().Sum(parameter => parameter.numel() * parameter.element_size())),
            };
        }

        private PlanLayer Describe(LayerUnit unit)
        {
            var (plan, work) = (unit.Plan, CostModel.Solve(unit));
            string? waitsFor = waits.GetValueOrDefault(unit.Path);
            return new(
                plan.Path,
                plan.Shape.Kind.ToString().ToLowerInvariant(),
                [plan.Shape.Rows, plan.Shape.Columns],
                [.. plan.Steps.Select(step => step.ToString())],
                IsOpen(unit),
                plan.BytesBefore,
                IsOpen(unit) ? null : plan.BytesAfter,
                rates.Seconds(work, options.Device),
                work.Bytes,
                rates.IsMeasured(work, options.Device),
                waitsFor is null,
                waitsFor)
            {
                Summary = StepSummary.Of(plan.Steps, IsOpen(unit)),
            };
        }

        private void Statistics()
        {
            var missing = units.Where(unit => statistics.TryGetValue(unit.Path, out string? file) && file is null).ToList();
            if (statistics.Count > 0)
            {
                Add("statistics", statistics.Count, statistics.Count - missing.Count, missing.Count == 0 ? [] : [costs.Statistics(missing)]);
            }
        }

        private void Allocation()
        {
            if (budget is not null)
            {
                Add("allocate", 1, budget.IsAllocated ? 1 : 0, budget.IsAllocated ? [] : [costs.Allocate([.. units.Where(IsOpen)], run.Recipe.Allocate)]);
            }
        }

        private void Solving()
        {
            foreach (var unit in units)
            {
                if (IsOpen(unit))
                {
                    waits[unit.Path] = "allocation";
                }
                else if (statistics.TryGetValue(unit.Path, out string? file) && file is null)
                {
                    waits[unit.Path] = "statistics";
                }
                else
                {
                    keys[unit.Path] = unit.Key(known, options.Device);
                    if (store.Find(keys[unit.Path]) is null)
                    {
                        waits[unit.Path] = "solving";
                    }
                }
            }

            List<Work> work = [.. units.Where(unit => waits.ContainsKey(unit.Path)).Select(CostModel.Solve).OrderByDescending(work => work.Bytes)];
            double[] seconds = [.. work.Select(layer => rates.Seconds(layer, options.Device))];
            int cores = Math.Max(1, Math.Min(options.Cores, work.Count));
            phases.Add(new("solve", units.Count, units.Count - work.Count, work.Count == 0 ? 0 : Math.Max(seconds.Sum() / cores, seconds.Max()), work.Take(cores).Sum(layer => layer.Bytes)));
        }

        /// <summary>Blocks are trained one after the other, and each key depends on all layers before it: only when all are known, and the order of calls, is anything.</summary>
        private void Reconstruction()
        {
            var modules = ModelLayer.Find(run.Model).ToDictionary(layer => layer.Path, layer => layer.Module, StringComparer.Ordinal);
            var blocks = BlockMembers.Group(units, modules);
            if (blocks.Count == 0)
            {
                return;
            }

            ReconstructionPhase.RequireData(run);
            var ordered = Ordered(modules);
            bool known = ordered is not null && keys.Count == units.Count;
            ordered ??= [.. blocks.Select(block => new BlockMembers(block.Path, BlockMembers.Agreed(block.Path, block.Layers), block.Layers, [], []))];
            var missing = new List<BlockMembers>();
            foreach (var block in ordered)
            {
                var trained = known ? block.LayerKeys(block.Key(run, options, keys)) : [];
                if (!known || trained.Values.Any(key => store.Find(key) is null))
                {
                    missing.Add(block);
                }

                foreach (var layer in block.Layers)
                {
                    if (!known)
                    {
                        keys.Remove(layer.Path);
                    }
                    else
                    {
                        keys[layer.Path] = trained[layer.Path];
                    }

                    if (missing.Contains(block))
                    {
                        waits.TryAdd(layer.Path, "reconstruction");
                    }
                }
            }

            Add("reconstruct", ordered.Count, ordered.Count - missing.Count, [.. missing.Select(costs.Block)]);
        }

        private IReadOnlyList<BlockMembers>? Ordered(IReadOnlyDictionary<string, nn.Module> modules)
        {
            try
            {
                return BlockMembers.InOrder(units, modules, store.Lines(BlockMembers.OrderKey(run, options), () => []));
            }
            catch (NotCachedException)
            {
                return null;
            }
        }

        private void Training()
        {
            if (run.Recipe.Train is not { } request)
            {
                return;
            }

            var trained = units.Where(unit => unit.Trained is not null).ToList();
            TrainingPhase.RequireLayers(trained.Count, request);
            string? key = keys.Count == units.Count ? new TrainingPhase(pipeline, run, store, options, new SilentObserver()).Key(Keyed(units), request) : null;
            bool cached = key is not null && store.Find(key) is not null;
            foreach (string path in trained.Select(unit => unit.Path))
            {
                keys.Remove(path);
                if (key is not null)
                {
                    keys[path] = TrainingPhase.LayerKey(key, path);
                }
            }

            Add("train", 1, cached ? 1 : 0, cached ? [] : [costs.Train(request)]);
        }

        /// <summary>What an analysis reads is named by the results before it, and what it edits by its findings: whether it was made, the last artifact tells.</summary>
        private void Analysis()
        {
            if (run.Recipe.Analyze.Count > 0)
            {
                int cached = IsLastPlan() ? run.Recipe.Analyze.Count : 0;
                Add("analyze", run.Recipe.Analyze.Count, cached, cached > 0 ? [] : [CostModel.Analyze(units)]);
            }
        }

        private void Ordering()
        {
            List<LayerUnit> stacks = [.. units.Where(unit => StackOrderPhase.StepOf(unit) is not null)];
            if (stacks.Count == 0)
            {
                return;
            }

            var step = StackOrderPhase.StepOf(stacks[0])!;
            int[] blocks = [.. stacks.Select(Blocks)];
            if (blocks.Max() == 1)
            {
                return;
            }

            StackOrderPhase.RequireData(run);
            List<(int Level, int? Layer)> scores = [.. Enumerable.Range(1, blocks.Max() - 1).SelectMany(level =>
                Enumerable.Range(0, stacks.Count).Where(i => blocks[i] > level).Select(i => (level, (int?)i)).Concat(step.Order == StackOrder.GainPerByte ? [(level, null)] : []))];
            var phase = new StackOrderPhase(pipeline, run, store, options, new SilentObserver());
            int cached = stacks.TrueForAll(stack => keys.ContainsKey(stack.Path)) ? scores.Count(score => store.Find(phase.Key(Keyed(stacks), step, score.Level, score.Layer)) is not null) : 0;
            Add("order", scores.Count, cached, cached == scores.Count ? [] : [costs.Scores(step.ScoringSamples, scores.Count - cached)]);
        }

        /// <summary>The blocks that the solver found, where it was there; else those that were asked for.</summary>
        private int Blocks(LayerUnit stack)
        {
            if (keys.TryGetValue(stack.Path, out string? key) && store.Find(key) is { } file)
            {
                using var scope = NewDisposeScope();
                using var solved = SolvedLayer.Read(file);
                return Stack.Blocks(solved.Weight).Count;
            }

            return StackOrderPhase.StepOf(stack)!.Blocks;
        }

        private void Evaluation()
        {
            if (run.Recipe.Evaluate is null)
            {
                return;
            }

            var phase = new EvaluationPhase(pipeline, run, store, options, new SilentObserver());
            int cached = new[] { EvaluationPhase.Original, ExpectedDigest() }.Count(weights => weights is not null && store.Find(phase.Key(weights)) is not null);
            Add("evaluate", 2, cached, [.. Enumerable.Repeat(costs.Evaluate(), 2 - cached)]);
        }

        /// <summary>The digest of the weights file that a build would leave; known where the last one left the same results.</summary>
        private string? ExpectedDigest()
        {
            bool same = LastArtifact() is { } manifest && manifest.Sources.GetValueOrDefault(RecipeFiles.Weights)?.Sha256 == run.Sources[RecipeFiles.Weights].Sha256
                && manifest.Layers.Count == units.Count && manifest.Layers.All(layer => keys.GetValueOrDefault(layer.Path) == layer.Key);
            return same || (run.Recipe.Analyze.Any(analysis => analysis.Analysis.Edits) && IsLastPlan()) ? LastArtifact()!.Weights : null;
        }

        /// <summary>Whether the last artifact was made by this very plan, and the results that went into it are still what they were.</summary>
        private bool IsLastPlan() => LastArtifact() is { } manifest && manifest.Plan == ArtifactWriter.DigestOf(run.Plan) && waits.Count == 0;

        private Manifest? LastArtifact()
        {
            try
            {
                return ManifestFile.Read(Path.Combine(options.OutputDirectory, run.Recipe.Name));
            }
            catch (PipelineException)
            {
                // Nothing was built yet, or by another version.
                return null;
            }
        }

        private List<KeyedUnit> Keyed(IEnumerable<LayerUnit> layers) => [.. layers.Select(unit => new KeyedUnit(unit, keys[unit.Path]))];

        private void Add(string name, int count, int cached, IReadOnlyList<Work> work) =>
            phases.Add(new(name, count, cached, work.Sum(item => rates.Seconds(item, options.Device)), work.Select(item => item.Bytes).DefaultIfEmpty().Max()));
    }
}
