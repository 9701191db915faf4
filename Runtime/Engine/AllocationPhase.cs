using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Chooses the ranks and bits that a recipe leaves open so that all tensors of the artifact fit into its budget.</summary>
internal sealed class AllocationPhase(IModelPipeline pipeline, PreparedRun run, Budget budget, CalibrationLoss loss, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Ranks of one decomposition cost nothing more; measured choices are a run of the model each.</summary>
    private const int PredictedChoices = 64;

    private const int MeasuredChoices = 16;

    private const int JudgedPlans = 8;

    private const string LossAlone = "more calibration loss, alone";

    /// <summary>Makes the plan of the run final.</summary>
    /// <exception cref="PipelineException">PDSL3015: the budget is too small; PDSL1007: there is nothing to choose.</exception>
    public AllocationRecord Allocate(IReadOnlyList<LayerUnit> units, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var layers = units.Where(unit => LayerChoices.IsOpen(unit.Plan)).Select(unit => LayerChoices.Of(unit, run.BiasBytes(unit.Layer))).ToList();
        if (layers.Count == 0)
        {
            throw new PipelineException(DiagnosticIds.ContradictorySettings, $"the budget '{budget.Text}' has nothing left to choose: no layer gets a step that leaves something open; leave 'rank' out of a 'decompose' step or 'bits' out of a 'quantize' step, or drop the budget", budget.Span);
        }

        long stored = StoredBytes(units);
        long total = TotalBytes(units);
        long smallest = stored + layers.Sum(layer => layer.Smallest);
        if (total < smallest)
        {
            throw new PipelineException(DiagnosticIds.BudgetNotAttainable, $"the budget '{budget.Text}' ({total} bytes for all tensors) is not attainable: the smallest is {smallest} bytes, of which {stored} are not open to choice; raise it, or compress more layers", budget.Span);
        }

        observer.Progress($"{run.Recipe.Name}: sharing {total - stored} bytes among {layers.Count} layers ({SettingDescriptor.Format(run.Recipe.Allocate)})");
        var chosen = Choose(layers, total - stored, statistics, cancellation);
        run.Adopt(chosen.Plans.ToDictionary(plan => plan.Path));
        return new(
            budget.Text,
            SettingDescriptor.Format(run.Recipe.Allocate),
            total,
            stored + chosen.Plans.Zip(units.Where(unit => LayerChoices.IsOpen(unit.Plan))).Sum(item => LayerChoices.Bytes(item.First, run.BiasBytes(item.Second.Layer))),
            smallest,
            chosen.Distortion,
            chosen.LowerBound,
            chosen.Measured,
            chosen.Note,
            [.. chosen.Plans.Zip(chosen.Layers).Select(item => new AllocatedLayer(item.First.Path, item.First.Describe(), item.First.BytesAfter, item.Second.Distortion, item.Second.Reason) { Chosen = item.Second.Chosen, Cheaper = item.Second.Cheaper, Dearer = item.Second.Dearer })])
        {
            TradeOff = [.. chosen.TradeOff.Select(point => new TradeOffPoint(stored + point.Cost, point.Distortion))],
        };
    }

    /// <summary>The most bytes of all tensors of the artifact.</summary>
    public long TotalBytes(IReadOnlyList<LayerUnit> units) =>
        budget.TotalBytes(units.Sum(unit => unit.Plan.BytesBefore), units.Sum(unit => unit.Plan.Shape.Count), run.UntouchedBytes() + units.Sum(unit => run.BiasBytes(unit.Layer)));

    private Chosen Choose(List<LayerChoices> layers, long bytes, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        using var trials = store.Above();
        var distortions = new LayerDistortions(run, loss, store, trials, statistics, options, observer);
        var shares = new ShareAllocator(layers);
        var chosen = run.Recipe.Allocate switch
        {
            AllocationMethod.Uniform => Shared(distortions, layers, shares.Uniform(bytes), [.. layers.Select(_ => "an equal share")], cancellation),
            AllocationMethod.Farms => Farms(distortions, shares, layers, bytes, cancellation),
            AllocationMethod.Measured => Measured(distortions, layers, (thin, table) => Summed(thin, table.Increases(), bytes, [.. thin.Select(_ => LossAlone)]), cancellation),
            AllocationMethod.MostSensitiveFirst => Measured(distortions, layers, (thin, table) => Searched(thin, table, table.MostSensitiveFirst(Dearest(thin), bytes)), cancellation),
            AllocationMethod.EqualLoss => Measured(distortions, layers, (thin, table) => Searched(thin, table, table.LeastLimit(Dearest(thin), bytes)), cancellation),
            _ => Predicted(distortions, layers, shares.Uniform(bytes), bytes, cancellation),
        };
        using var result = distortions.Try(layers, chosen.Plans, cancellation);
        foreach (var (_, key) in result.Names)
        {
            trials.Keep(key);
        }

        return chosen;
    }

    private Chosen Predicted(LayerDistortions distortions, List<LayerChoices> every, IReadOnlyList<SharedPlan> uniform, long bytes, CancellationToken cancellation)
    {
        List<LayerChoices> layers = [.. every.Select((layer, i) => layer.Thin(PredictedChoices, uniform.Select(plan => plan.Choices[i])))];
        var predicted = distortions.Predict(layers, cancellation);
        List<IReadOnlyList<double>> errors = [.. predicted.Select(layer => layer.Errors)];
        string? missing = run.Recipe.Calibrate is null ? "the recipe has no calibration data" : loss.Missing();
        if (missing is not null)
        {
            return Summed(layers, errors, bytes, [.. predicted.Select(layer => layer.Unit)]) with { Note = $"All layers count the same: {missing}." };
        }

        TrialLayers Try(IReadOnlyList<int> choices) => distortions.Try(layers, Plans(layers, choices), cancellation);
        double Increase(IReadOnlyList<int> choices)
        {
            using var trial = Try(choices);
            return loss.Increase(trial, cancellation);
        }

        var attribution = new LossAttribution(pipeline, run, store, options);
        LossParts Parts(IReadOnlyList<int> choices)
        {
            using var trial = Try(choices);
            return attribution.Of(trial, cancellation);
        }

        var search = new SensitivitySearch(Options(layers, errors), bytes, Increase, choices => Parts(choices).Curved);
        var alike = uniform.Select(plan => (plan.Name, Choices: (IReadOnlyList<int>)[.. plan.Choices.Select((choice, i) => layers[i].IndexOf(choice))]))
            .OrderBy(plan => plan.Choices.Select((choice, i) => errors[i][choice]).Sum()).Take(JudgedPlans);
        var (choices, tried, sensitivities) = search.From([.. alike]);
        var parts = Parts(choices).Values;
        return new(Plans(layers, choices), parts.Sum(), null, [.. choices.Select((choice, i) => Explain(
            layers[i],
            sensitivities is null ? null : [.. errors[i].Select(error => error * sensitivities[i])],
            choice,
            parts[i],
            string.Create(CultureInfo.InvariantCulture, $"{parts[i]:0.####} of the calibration loss gained; {errors[i][choice]:0.####} {predicted[i].Unit}")))])
        {
            Measured = Increase(choices),
            TradeOff = sensitivities is null ? [] : Frontier(layers, [.. errors.Select((error, i) => (IReadOnlyList<double>)[.. error.Select(value => value * sensitivities[i])])]),
            Note = $"Loss gained on the calibration data by each plan that was tried: {string.Join("; ", tried.Select(trial => string.Create(CultureInfo.InvariantCulture, $"{trial.Name} {trial.LossIncrease:0.####}")))}. The least was taken.",
        };
    }

    /// <summary>Chooses by what each choice of each layer alone adds to the loss. The measurements are in the cache, so that another way to choose takes none.</summary>
    private static Chosen Measured(LayerDistortions distortions, List<LayerChoices> every, Func<List<LayerChoices>, SensitivityTable, Chosen> choose, CancellationToken cancellation)
    {
        List<LayerChoices> layers = [.. every.Select(layer => layer.ThinSettings(MeasuredChoices).Thin(MeasuredChoices, []))];
        return choose(layers, distortions.Measure(layers, cancellation));
    }

    /// <summary>What a search of the table found; a layer without a candidate keeps its dearest choice.</summary>
    /// <exception cref="PipelineException">PDSL3015: what fits makes the loss no number.</exception>
    private Chosen Searched(List<LayerChoices> layers, SensitivityTable table, IReadOnlyList<int>? found)
    {
        if (found is null)
        {
            throw new PipelineException(DiagnosticIds.BudgetNotAttainable, $"the budget '{budget.Text}' is only met by choices that, alone, make the loss on the calibration data no number; raise it, or use 'allocate: predicted'", budget.Span);
        }

        int[] choices = [.. found.Select((choice, i) => choice < 0 ? Enumerable.Range(0, layers[i].Choices.Count).MaxBy(at => layers[i].Choices[at].Cost) : choice)];
        var increases = table.Increases();
        return Explained(layers, increases, choices, [.. layers.Select(_ => LossAlone)], choices.Select((choice, i) => increases[i][choice]).Sum(), null);
    }

    private static long[] Dearest(List<LayerChoices> layers) => [.. layers.Select(layer => layer.Choices.Max(choice => choice.Cost))];

    private static Chosen Summed(List<LayerChoices> layers, IReadOnlyList<IReadOnlyList<double>> table, long bytes, IReadOnlyList<string> units)
    {
        var allocation = BudgetAllocator.Allocate(Options(layers, table), bytes);
        return Explained(layers, table, allocation.Choices, units, allocation.Distortion, allocation.LowerBound);
    }

    private static Chosen Explained(List<LayerChoices> layers, IReadOnlyList<IReadOnlyList<double>> table, IReadOnlyList<int> choices, IReadOnlyList<string> units, double distortion, double? lowerBound) =>
        new(Plans(layers, choices), distortion, lowerBound, [.. choices.Select((choice, i) => Explain(
            layers[i],
            table[i],
            choice,
            table[i][choice],
            string.Create(CultureInfo.InvariantCulture, $"{table[i][choice]:0.####} {units[i]}; {table[i][0]:0.####} at its smallest")))])
        {
            TradeOff = Frontier(layers, table),
        };

    /// <summary>What other budgets would lose: at most so many of the sums that are least for their costs, the first and the last among them.</summary>
    private static IReadOnlyList<AllocationOption> Frontier(List<LayerChoices> layers, IReadOnlyList<IReadOnlyList<double>> table)
    {
        // A choice that makes the loss no number is none.
        var options = Options(layers, table).Select(layer => (IReadOnlyList<AllocationOption>)[.. layer.Where(option => double.IsFinite(option.Distortion))]).ToList();
        if (options.Exists(layer => layer.Count == 0))
        {
            return [];
        }

        var sums = LinearRelaxation.Frontier(options);
        int count = Math.Min(sums.Count, AllocationRecord.MaxPoints);
        return [.. Enumerable.Range(0, count).Select(i => sums[count == 1 ? 0 : (int)((long)i * (sums.Count - 1) / (count - 1))])];
    }

    private static Chosen Farms(LayerDistortions distortions, ShareAllocator shares, List<LayerChoices> layers, long bytes, CancellationToken cancellation)
    {
        var exponents = layers.Select(distortions.HeavyTail).ToList();
        return Shared(distortions, layers, shares.ByExponent(exponents, bytes), [.. exponents.Select(exponent => string.Create(CultureInfo.InvariantCulture, $"heavy-tail exponent {exponent:0.00}"))], cancellation);
    }

    /// <summary>Of several plans that a rule gives, one a width, the one with the least sum of predicted errors.</summary>
    private static Chosen Shared(LayerDistortions distortions, List<LayerChoices> every, IReadOnlyList<SharedPlan> plans, IReadOnlyList<string> reasons, CancellationToken cancellation)
    {
        var best = plans[0];
        if (plans.Count > 1)
        {
            List<LayerChoices> layers = [.. every.Select((layer, i) => layer.Thin(0, plans.Select(plan => plan.Choices[i])))];
            var errors = distortions.Predict(layers, cancellation);
            best = plans.MinBy(plan => plan.Choices.Select((choice, i) => errors[i].Errors[layers[i].IndexOf(choice)]).Sum())!;
        }

        return new([.. best.Choices.Select(choice => choice.Plan)], null, null, [.. reasons.Select((reason, i) => new LayerReason(null, best.Choices[i].Name.Length > 0 ? $"{best.Choices[i].Name}: {reason}" : reason))]);
    }

    /// <summary>A choice between the best one in fewer bytes and the cheapest one that loses less.</summary>
    private static LayerReason Explain(LayerChoices layer, IReadOnlyList<double>? predicted, int chosen, double distortion, string reason)
    {
        if (predicted is null)
        {
            return new(distortion, reason);
        }

        AllocatedChoice At(int choice) => new(layer.Choices[choice].Name, layer.Choices[choice].Cost, predicted[choice]);
        var (cost, error) = (layer.Choices[chosen].Cost, predicted[chosen]);
        var others = Enumerable.Range(0, predicted.Count).Where(choice => choice != chosen).ToList();
        var cheaper = others.Where(choice => layer.Choices[choice].Cost < cost).OrderBy(choice => predicted[choice]).ThenBy(choice => layer.Choices[choice].Cost).Select(At).FirstOrDefault();
        var dearer = others.Where(choice => predicted[choice] < error && layer.Choices[choice].Cost > cost).OrderBy(choice => layer.Choices[choice].Cost).ThenBy(choice => predicted[choice]).Select(At).FirstOrDefault();
        return new(distortion, reason) { Chosen = At(chosen), Cheaper = cheaper, Dearer = dearer };
    }

    private static IReadOnlyList<PlannedLayer> Plans(List<LayerChoices> layers, IReadOnlyList<int> choices) => [.. layers.Zip(choices).Select(item => item.First.Choices[item.Second].Plan)];

    private static IReadOnlyList<IReadOnlyList<AllocationOption>> Options(List<LayerChoices> layers, IReadOnlyList<IReadOnlyList<double>> table) =>
        [.. layers.Select((layer, i) => (IReadOnlyList<AllocationOption>)[.. layer.Choices.Select((choice, at) => new AllocationOption(choice.Cost, table[i][at]))])];

    /// <summary>Bytes of the layers whose steps are fixed and of every tensor that no step touches.</summary>
    private long StoredBytes(IReadOnlyList<LayerUnit> units) =>
        run.UntouchedBytes() + units.Where(unit => !LayerChoices.IsOpen(unit.Plan)).Sum(unit => LayerChoices.Bytes(unit.Plan, run.BiasBytes(unit.Layer)));

    private sealed record LayerReason(double? Distortion, string Reason)
    {
        public AllocatedChoice? Chosen { get; init; }

        public AllocatedChoice? Cheaper { get; init; }

        public AllocatedChoice? Dearer { get; init; }
    }

    private sealed record Chosen(IReadOnlyList<PlannedLayer> Plans, double? Distortion, double? LowerBound, IReadOnlyList<LayerReason> Layers)
    {
        public double? Measured { get; init; }

        public string? Note { get; init; }

        public IReadOnlyList<AllocationOption> TradeOff { get; init; } = [];
    }
}
