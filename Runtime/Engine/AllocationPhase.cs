using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Chooses the numbers that a recipe leaves open so that all tensors of the artifact fit into its budget.</summary>
internal sealed class AllocationPhase(IModelPipeline pipeline, PreparedRun run, Budget budget, CalibrationLoss loss, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Ranks of one decomposition cost nothing more; measured ones are a run of the model each.</summary>
    private const int PredictedRanks = 64;

    private const int MeasuredRanks = 16;

    /// <summary>Makes the plan of the run final.</summary>
    /// <exception cref="PipelineException">PDSL3015: the budget is too small; PDSL1007: there is nothing to choose.</exception>
    public AllocationRecord Allocate(IReadOnlyList<LayerUnit> units, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        int most = run.Recipe.Allocate == AllocationMethod.Measured ? MeasuredRanks : int.MaxValue;
        var layers = units.Where(unit => LayerChoices.IsOpen(unit.Plan)).Select(unit => LayerChoices.Of(unit, most, BiasBytes(unit))).ToList();
        if (layers.Count == 0)
        {
            throw new PipelineException(DiagnosticIds.ContradictorySettings, $"the budget '{budget.Text}' has nothing left to choose: no layer gets a step that leaves a number open; leave 'rank' out of a 'decompose' step or 'bits' out of an 'lqLora' step, or drop the budget", budget.Span);
        }

        long stored = StoredBytes(units);
        long total = budget.TotalBytes(units.Sum(unit => unit.Plan.BytesBefore), units.Sum(unit => unit.Plan.Shape.Count), OtherBytes(units));
        long smallest = stored + layers.Sum(layer => layer.Costs.Min());
        if (total < smallest)
        {
            throw new PipelineException(DiagnosticIds.BudgetNotAttainable, $"the budget '{budget.Text}' ({total} bytes for all tensors) is not attainable: the smallest is {smallest} bytes, of which {stored} are not open to choice; raise it, or compress more layers", budget.Span);
        }

        observer.Progress($"{run.Recipe.Name}: sharing {total - stored} bytes among {layers.Count} layers ({run.Recipe.Allocate.ToString().ToLowerInvariant()})");
        var chosen = Choose(layers, total - stored, statistics, cancellation);
        run.Adopt(chosen.Plans.ToDictionary(plan => plan.Path));
        return new(
            budget.Text,
            run.Recipe.Allocate.ToString().ToLowerInvariant(),
            total,
            stored + chosen.Plans.Zip(units.Where(unit => LayerChoices.IsOpen(unit.Plan))).Sum(item => LayerChoices.Bytes(item.First, BiasBytes(item.Second))),
            smallest,
            chosen.Distortion,
            chosen.LowerBound,
            chosen.Measured,
            chosen.Note,
            [.. chosen.Plans.Zip(chosen.Layers).Select(item => new AllocatedLayer(item.First.Path, item.First.Describe(), item.First.BytesAfter, item.Second.Distortion, item.Second.Reason))]);
    }

    private Chosen Choose(List<LayerChoices> layers, long bytes, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var distortions = new LayerDistortions(run, loss, store, options, observer);
        var shares = new ShareAllocator(layers);
        return run.Recipe.Allocate switch
        {
            AllocationMethod.Uniform => Shared(layers, shares.Uniform(bytes), [.. layers.Select(_ => "an equal share")]),
            AllocationMethod.Farms => Farms(shares, layers, bytes),
            AllocationMethod.Measured => Summed(layers, distortions.Measure(layers, statistics, cancellation).Increases(), bytes, _ => "more calibration loss, alone"),
            _ => Predicted(distortions, layers, shares.Uniform(bytes), bytes, statistics, cancellation),
        };
    }

    private Chosen Predicted(LayerDistortions distortions, List<LayerChoices> every, IReadOnlyList<int> uniform, long bytes, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var thin = every.Zip(uniform).Select(item => item.First.Thin(LayerDistortions.IsRank(item.First) ? PredictedRanks : int.MaxValue, item.Second)).ToList();
        var predicted = distortions.Predict([.. thin.Select(item => item.Layer)], statistics, cancellation);
        var useful = thin.Zip(predicted).Select(item => item.First.Layer.Undominated(item.Second, item.First.Kept)).ToList();
        List<LayerChoices> layers = [.. useful.Select(item => item.Layer)];
        List<double[]> errors = [.. useful.Select(item => item.Errors)];
        string? missing = run.Recipe.Calibrate is null ? "the recipe has no calibration data" : loss.Missing();
        if (missing is not null)
        {
            return Summed(layers, errors, bytes, UnitOf) with { Note = $"All layers count the same: {missing}." };
        }

        SolvedUnit[] Solved(SolvedLayers solved) => [.. layers.Select(layer => solved.Layers[layer.Open.Path])];
        SolvedLayers Solve(IReadOnlyList<int> choices) => distortions.Solve(layers.Zip(choices).Select(item => new LayerUnit(run, item.First.Plans[item.Second], item.First.Layer)), statistics, cancellation);
        double Increase(IReadOnlyList<int> choices)
        {
            using var solved = Solve(choices);
            return loss.Increase(Solved(solved), cancellation);
        }

        var attribution = new LossAttribution(pipeline, run, store, options);
        IReadOnlyList<double> Parts(IReadOnlyList<int> choices)
        {
            using var solved = Solve(choices);
            return attribution.Of(Solved(solved), cancellation);
        }

        var (choices, trials) = new SensitivitySearch(Options(layers, errors), bytes, Increase, Parts).From([.. useful.Select(item => item.Kept)]);
        var parts = Parts(choices);
        var reasons = choices.Select((choice, i) => ((double?)parts[i], string.Create(CultureInfo.InvariantCulture, $"{parts[i]:0.####} of the calibration loss gained; {errors[i][choice]:0.####} {UnitOf(layers[i])}")));
        return new([.. layers.Zip(choices).Select(item => item.First.Plans[item.Second])], parts.Sum(), null, [.. reasons])
        {
            Measured = Increase(choices),
            Note = $"Loss gained on the calibration data by each plan that was tried: {string.Join("; ", trials.Select(trial => string.Create(CultureInfo.InvariantCulture, $"{trial.Name} {trial.LossIncrease:0.####}")))}. The least was taken.",
        };
    }

    private static Chosen Summed(List<LayerChoices> layers, IReadOnlyList<double[]> table, long bytes, Func<LayerChoices, string> unit)
    {
        var allocation = BudgetAllocator.Allocate(Options(layers, table), bytes);
        return new(
            [.. layers.Zip(allocation.Choices).Select(item => item.First.Plans[item.Second])],
            allocation.Distortion,
            allocation.LowerBound,
            [.. allocation.Choices.Select((choice, i) => ((double?)table[i][choice], string.Create(CultureInfo.InvariantCulture, $"{table[i][choice]:0.####} {unit(layers[i])}; {table[i][0]:0.####} at its smallest")))]);
    }

    private static IReadOnlyList<IReadOnlyList<AllocationOption>> Options(List<LayerChoices> layers, IReadOnlyList<double[]> table) =>
        [.. layers.Select((layer, i) => (IReadOnlyList<AllocationOption>)[.. layer.Costs.Select((cost, choice) => new AllocationOption(cost, table[i][choice]))])];

    private Chosen Farms(ShareAllocator shares, List<LayerChoices> layers, long bytes)
    {
        var fits = layers.Select(layer => LayerDistortions.HeavyTail(run, layer)).ToList();
        return Shared(layers, shares.ByExponent([.. fits.Select(fit => fit.Alpha)], bytes), [.. fits.Select(fit => string.Create(CultureInfo.InvariantCulture, $"heavy-tail exponent {fit.Alpha:0.00}"))]);
    }

    private static Chosen Shared(List<LayerChoices> layers, IReadOnlyList<int> choices, IReadOnlyList<string> reasons) =>
        new([.. layers.Zip(choices).Select(item => item.First.Plans[item.Second])], null, null, [.. reasons.Select(reason => ((double?)null, reason))]);

    private static string UnitOf(LayerChoices layer) => LayerDistortions.IsRank(layer) ? "of the energy in its metric given up" : "of a layer's mean energy lost";

    private long BiasBytes(LayerUnit unit) => run.Weights.Contains(unit.Layer.BiasName) ? run.Weights.Info(unit.Layer.BiasName).ByteCount : 0;

    /// <summary>Bytes of the layers whose steps are fixed and of every tensor that no step touches.</summary>
    private long StoredBytes(IReadOnlyList<LayerUnit> units) =>
        OtherBytes(units) - units.Sum(BiasBytes) + units.Where(unit => !LayerChoices.IsOpen(unit.Plan)).Sum(unit => LayerChoices.Bytes(unit.Plan, BiasBytes(unit)));

    /// <summary>Bytes of everything but the weights of the layers that get steps.</summary>
    private long OtherBytes(IReadOnlyList<LayerUnit> units)
    {
        var weights = units.Select(unit => unit.Layer.WeightName).ToHashSet(StringComparer.Ordinal);
        return run.Model.state_dict().Keys.Where(name => run.Weights.Contains(name) && !weights.Contains(name)).Sum(name => run.Weights.Info(name).ByteCount);
    }

    private sealed record Chosen(IReadOnlyList<PlannedLayer> Plans, double? Distortion, double? LowerBound, IReadOnlyList<(double? Distortion, string Reason)> Layers)
    {
        public double? Measured { get; init; }

        public string? Note { get; init; }
    }
}
