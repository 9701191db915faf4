using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Chooses the ranks that a recipe leaves open so that all tensors of the artifact fit into its budget.</summary>
internal sealed class AllocationPhase(PreparedRun run, Budget budget, CalibrationLoss loss, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Ranks of one decomposition cost nothing more; measured ones are a run of the model each.</summary>
    private const int PredictedRanks = 64;

    private const int MeasuredRanks = 16;

    /// <summary>Makes the plan of the run final.</summary>
    /// <exception cref="PipelineException">PDSL3015: the budget is too small; PDSL1007: there is nothing to choose.</exception>
    public AllocationRecord Allocate(IReadOnlyList<LayerUnit> units, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        int most = run.Recipe.Allocate switch { AllocationMethod.Predicted => PredictedRanks, AllocationMethod.Measured => MeasuredRanks, _ => int.MaxValue };
        var layers = units.Where(unit => LayerChoices.IsOpen(unit.Plan)).Select(unit => LayerChoices.Of(unit, most, BiasBytes(unit))).ToList();
        if (layers.Count == 0)
        {
            throw new PipelineException(DiagnosticIds.ContradictorySettings, $"the budget '{budget.Text}' has nothing left to choose: no layer gets a step without a rank; leave 'rank' out of one, or drop the budget", budget.Span);
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
        run.Adopt(layers.Zip(chosen.Choices).ToDictionary(item => item.First.Open.Path, item => item.First.Plans[item.Second]));
        return new(
            budget.Text,
            run.Recipe.Allocate.ToString().ToLowerInvariant(),
            total,
            stored + layers.Zip(chosen.Choices).Sum(item => item.First.Costs[item.Second]),
            smallest,
            chosen.Distortion,
            chosen.LowerBound,
            null,
            [.. layers.Select((layer, i) => Describe(layer, chosen.Choices[i], chosen.Layers[i]))]);
    }

    private Chosen Choose(List<LayerChoices> layers, long bytes, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var distortions = new LayerDistortions(run, loss, store, options, observer);
        if (run.Recipe.Allocate is AllocationMethod.Uniform or AllocationMethod.Farms)
        {
            var shares = new ShareAllocator(layers);
            return run.Recipe.Allocate == AllocationMethod.Uniform
                ? Shared(shares.Uniform(bytes), layers.Count, "an equal share")
                : Farms(shares, layers, bytes);
        }

        var (table, unit) = run.Recipe.Allocate == AllocationMethod.Predicted
            ? (distortions.Predict(layers, statistics, cancellation), "of the energy in its metric given up")
            : (distortions.Measure(layers, statistics, cancellation).Increases(), "more calibration loss, alone");
        var choices = layers.Select((layer, i) => (IReadOnlyList<AllocationOption>)[.. layer.Costs.Select((cost, choice) => new AllocationOption(cost, table[i][choice]))]).ToList();
        var allocation = BudgetAllocator.Allocate(choices, bytes);
        return new(
            allocation.Choices,
            allocation.Distortion,
            allocation.LowerBound,
            [.. allocation.Choices.Select((choice, i) => ((double?)table[i][choice], string.Create(CultureInfo.InvariantCulture, $"{table[i][choice]:0.####} {unit}; {table[i][0]:0.####} at its smallest")))]);
    }

    private Chosen Farms(ShareAllocator shares, List<LayerChoices> layers, long bytes)
    {
        var fits = layers.Select(layer => LayerDistortions.HeavyTail(run, layer)).ToList();
        return new(
            shares.ByExponent([.. fits.Select(fit => fit.Alpha)], bytes),
            null,
            null,
            [.. fits.Select(fit => ((double?)null, string.Create(CultureInfo.InvariantCulture, $"heavy-tail exponent {fit.Alpha:0.00}")))]);
    }

    private static Chosen Shared(IReadOnlyList<int> choices, int count, string reason) => new(choices, null, null, [.. Enumerable.Repeat(((double?)null, reason), count)]);

    private static AllocatedLayer Describe(LayerChoices layer, int choice, (double? Distortion, string Reason) basis) =>
        new(layer.Open.Path, layer.Plans[choice].Describe(), layer.Plans[choice].BytesAfter, basis.Distortion, basis.Reason);

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

    private sealed record Chosen(IReadOnlyList<int> Choices, double? Distortion, double? LowerBound, IReadOnlyList<(double? Distortion, string Reason)> Layers);
}
