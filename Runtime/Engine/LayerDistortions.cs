using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Analysis;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What each choice of each layer costs in quality.</summary>
internal sealed class LayerDistortions(PreparedRun run, CalibrationLoss loss, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>The fact that holds what the errors of an open step's candidates are shares of.</summary>
    public const string ChoiceEnergy = "choiceEnergy";

    /// <summary>The share of the energy in the metric that each choice gives up: Σ_{i&gt;r} S_i² / Σ S_i², exact, from one decomposition a layer at the largest rank.</summary>
    /// <remarks>
    /// In the whitened and output metrics this is the squared error of the outputs on the calibration data over their energy. Keeping a layer costs nothing. Where no rank is
    /// open, the solver of the open step says what each of its candidates costs, and the mean energy of the layers that get the same step is what all their errors are shares of.
    /// </remarks>
    public IReadOnlyList<double[]> Predict(IReadOnlyList<LayerChoices> layers, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var probes = layers.Where(layer => layer.Candidates.Count > 0).ToList();
        using var solved = Solve(probes.Select(layer => new LayerUnit(run, IsRank(layer) ? layer.Decomposed(layer.Candidates.Count - 1) : layer.Open, layer.Layer)), statistics, cancellation);
        SolvedLayer Probe(LayerChoices layer) => solved.Layers[layer.Open.Path].Result;
        var energies = probes.Where(layer => !IsRank(layer)).ToLookup(layer => layer.OpenStep, layer => Probe(layer).Facts[ChoiceEnergy]);
        return [.. layers.Select(layer => layer.Candidates.Count == 0 ? [0] : IsRank(layer) ? Shares(layer, Probe(layer)) : Errors(layer, Probe(layer), energies[layer.OpenStep].Average()))];
    }

    /// <summary>The calibration loss with each choice of each layer alone.</summary>
    public SensitivityTable Measure(IReadOnlyList<LayerChoices> layers, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        double baseline = loss.Baseline(cancellation);
        double[][] metrics = [.. layers.Select(layer => new double[layer.Plans.Count])];
        int most = layers.Max(layer => layer.Plans.Count);
        for (int choice = 0; choice < most; choice++)
        {
            observer.Progress($"{run.Recipe.Name}: sensitivity of {layers.Count} layers, choice {choice + 1} of {most}");
            var column = layers.Where(layer => choice < layer.Plans.Count).ToList();
            using var solved = Solve(column.Select(layer => new LayerUnit(run, layer.Plans[choice], layer.Layer)), statistics, cancellation);
            for (int i = 0; i < layers.Count; i++)
            {
                if (choice < layers[i].Plans.Count)
                {
                    metrics[i][choice] = layers[i].Plans[choice].Steps.Count == 0 ? baseline : loss.With(solved.Layers[layers[i].Open.Path], cancellation);
                }
            }
        }

        return new(baseline, [.. layers.Select((layer, i) => new SensitivityRow(layer.Open.Path, layer.Costs, metrics[i]))]);
    }

    /// <summary>The exponent of a layer's weight.</summary>
    public static HillFit HeavyTail(PreparedRun run, LayerChoices layer)
    {
        using var scope = NewDisposeScope();
        var weight = run.Weights.Read(layer.Layer.WeightName).reshape(layer.Open.Shape.Rows, layer.Open.Shape.Columns);
        return HillFit.Of(new SpectralWindows().Eigenvalues(weight), TailStart.Median);
    }

    /// <summary>The fact that holds the error of an open step's candidate, as a share of <see cref="ChoiceEnergy"/>.</summary>
    public static string ChoiceError(int candidate) => string.Create(CultureInfo.InvariantCulture, $"choiceError.{candidate:000}");

    /// <summary>Whether a layer's open step chooses a rank.</summary>
    public static bool IsRank(LayerChoices layer) => layer.OpenStep is Decompose;

    private static double[] Errors(LayerChoices layer, SolvedLayer probe, double mean)
    {
        double weight = mean > 0 ? probe.Facts[ChoiceEnergy] / mean : 0;
        return [.. layer.Candidates.Select((_, i) => weight * probe.Facts[ChoiceError(i)]), 0];
    }

    private static double[] Shares(LayerChoices layer, SolvedLayer probe)
    {
        if (probe.Spectrum.Count == 0 || !probe.Facts.TryGetValue("predictedLoss", out double tail))
        {
            throw new PipelineException(DiagnosticIds.ContradictorySettings, $"layer '{layer.Open.Path}': '{layer.Open.Describe()}' predicts no loss; say 'allocate: measured', or name its rank", layer.Open.Span);
        }

        int known = Math.Min(probe.Spectrum.Count, (int)probe.Facts["rank"]);
        double[] given = new double[known + 1];
        given[known] = tail;
        for (int rank = known - 1; rank >= 0; rank--)
        {
            given[rank] = given[rank + 1] + (probe.Spectrum[rank] * probe.Spectrum[rank]);
        }

        return [.. layer.Candidates.Select(step => given[0] > 0 ? given[Math.Min(((Decompose)step).Rank, known)] / given[0] : 0), 0];
    }

    /// <summary>Layers solved to see what comes of it; the caller owns the result.</summary>
    public SolvedLayers Solve(IEnumerable<LayerUnit> units, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation) =>
        new SolvePhase(run, store, options, new Unheard()).Solve([.. units], statistics, cancellation);

    /// <summary>What is tried out is neither a result nor a reason to warn.</summary>
    private sealed class Unheard : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic)
        {
        }

        public void Progress(string message)
        {
        }

        public void Record(string entry)
        {
        }
    }
}
