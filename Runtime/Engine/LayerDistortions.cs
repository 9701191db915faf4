using System.Collections.Concurrent;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Statistics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What each choice of each layer costs in quality.</summary>
/// <param name="run">The prepared recipe.</param>
/// <param name="loss">The model's loss on the calibration data.</param>
/// <param name="store">Keeps what was measured.</param>
/// <param name="trials">Holds the layers that are tried out.</param>
/// <param name="statistics">The file with each layer's statistics, by path.</param>
/// <param name="options">Where and how recipes are run.</param>
/// <param name="observer">Hears what is going on.</param>
internal sealed class LayerDistortions(PreparedRun run, CalibrationLoss loss, ContentStore store, TrialStore trials, IReadOnlyDictionary<string, string> statistics, RunOptions options, IRunObserver observer)
{
    /// <summary>Raised whenever the same weight gives another exponent.</summary>
    private const int HeavyTailVersion = 1;

    /// <summary>The error that each choice is predicted to have, as a share of the energy in the metrics of the layer's steps: ranks from one decomposition, everything else by trying it out on the weight.</summary>
    /// <remarks>
    /// For steps that train it is the error of what they start from. Layers whose only step is meant to be compared by energies have errors in units of their mean energy: of those that
    /// get the same step.
    /// </remarks>
    public IReadOnlyList<PredictedErrors> Predict(IReadOnlyList<LayerChoices> layers, CancellationToken cancellation)
    {
        observer.Progress($"{run.Recipe.Name}: predicting the error of {layers.Sum(layer => layer.Choices.Count)} choices for {layers.Count} layers");
        var errors = new ConcurrentDictionary<string, LayerErrors>(StringComparer.Ordinal);
        WorkerThreads.Run([.. layers.OrderByDescending(layer => layer.Open.Shape.Count)], options.Cores, layer =>
        {
            var unit = new LayerUnit(run, layer.Open, layer.Layer);
            var numbers = store.Numbers(unit.ErrorsKey(statistics, options.Device, layer.Candidates), () =>
            {
                return run.Memory.Within<double[]>(layer.Open, () =>
                {
                    using var scope = NewDisposeScope();
                    var compared = unit.Compare(statistics.TryGetValue(unit.Path, out string? file) ? StatisticsFile.Read(file) : LayerStatistics.None, layer.Candidates);
                    return [.. compared.Errors, compared.Energy ?? double.NaN];
                }, cancellation);
            });
            errors[unit.Path] = new([.. numbers.SkipLast(1)], double.IsNaN(numbers[^1]) ? null : numbers[^1]);
        }, cancellation);
        var energies = layers.Where(layer => errors[layer.Open.Path].Energy is not null).ToLookup(layer => layer.Open.Steps[0], layer => errors[layer.Open.Path].Energy!.Value);
        return [.. layers.Select(layer => errors[layer.Open.Path] is { Energy: { } energy } own
            ? new PredictedErrors(energy == 0 ? [.. own.Errors.Select(_ => 0.0)] : [.. own.Errors.Select(error => error * energy / energies[layer.Open.Steps[0]].Average())], "of a layer's mean energy lost")
            : new PredictedErrors(errors[layer.Open.Path].Errors, "of the energy in its metric given up"))];
    }

    /// <summary>The calibration loss with each choice of each layer alone.</summary>
    public SensitivityTable Measure(IReadOnlyList<LayerChoices> layers, CancellationToken cancellation)
    {
        double baseline = loss.Baseline(cancellation);
        double[][] metrics = [.. layers.Select(layer => new double[layer.Choices.Count])];
        int most = layers.Max(layer => layer.Choices.Count);
        for (int choice = 0; choice < most; choice++)
        {
            observer.Progress($"{run.Recipe.Name}: sensitivity of {layers.Count} layers, choice {choice + 1} of {most}");
            var column = Enumerable.Range(0, layers.Count).Where(i => choice < layers[i].Choices.Count).ToList();
            using var solved = Try([.. column.Select(i => layers[i])], [.. column.Select(i => layers[i].Choices[choice].Plan)], cancellation);
            foreach (int i in column)
            {
                metrics[i][choice] = layers[i].Choices[choice].Plan.Steps.Count == 0 ? baseline : loss.With(solved, layers[i].Open.Path, cancellation);
            }
        }

        return new(baseline, [.. layers.Select((layer, i) => new SensitivityRow(layer.Open.Path, [.. layer.Choices.Select(choice => choice.Cost)], metrics[i]))]);
    }

    /// <summary>The heavy-tail exponent of a layer's weight.</summary>
    public double HeavyTail(LayerChoices layer) => store.Number(
        new ContentKey("heavy tail").Add("version", HeavyTailVersion).Add("tensors", TensorLibrary.Version).Add("weight", run.WeightDigests[layer.Open.Path]).Add("rows", layer.Open.Shape.Rows).ToString(),
        () => Fit(layer).Alpha);

    private HillFit Fit(LayerChoices layer)
    {
        using var scope = NewDisposeScope();
        var weight = run.Weights.Read(layer.Layer.WeightName).reshape(layer.Open.Shape.Rows, layer.Open.Shape.Columns);
        return HillFit.Of(new SpectralWindows().Eigenvalues(weight), TailStart.Median);
    }

    /// <summary>Layers to be solved with some plans to see what comes of it; the caller owns the result.</summary>
    public TrialLayers Try(IReadOnlyList<LayerChoices> layers, IReadOnlyList<PlannedLayer> plans, CancellationToken cancellation)
    {
        List<LayerUnit> units = [.. layers.Zip(plans).Select(item => new LayerUnit(run, item.Second, item.First.Layer))];
        return new([.. units.Select(unit => (unit.Path, unit.Key(statistics, options.Device)))], () => new SolvePhase(run, trials.Store, options, new SilentObserver()).Solve(units, statistics, cancellation));
    }
}

/// <summary>What is predicted about the choices of a layer.</summary>
/// <param name="Errors">The error of each.</param>
/// <param name="Unit">What they count, in words.</param>
internal sealed record PredictedErrors(IReadOnlyList<double> Errors, string Unit);
