using System.Runtime.InteropServices;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>The work on one layer: its chain of steps, run in order.</summary>
/// <param name="run">The prepared recipe.</param>
/// <param name="plan">The layer's plan.</param>
/// <param name="layer">The layer in the model.</param>
internal sealed class LayerUnit(PreparedRun run, PlannedLayer plan, ModelLayer layer)
{
    /// <summary>Raised when the engine treats solvers' inputs or outputs in another way, so that cached results are dropped.</summary>
    private const int EngineVersion = 2;

    /// <summary>The layer's path.</summary>
    public string Path => plan.Path;

    /// <summary>The layer's plan.</summary>
    public PlannedLayer Plan => plan;

    /// <summary>The layer in the model.</summary>
    public ModelLayer Layer => layer;

    /// <summary>What all its steps ask for.</summary>
    public StatisticKinds Needs => plan.Steps.Aggregate(StatisticKinds.None, (needs, step) => needs | step.NeedsOf(plan.Shape));

    /// <summary>The content key: everything the result depends on.</summary>
    /// <param name="statistics">The digest of the layer's statistics.</param>
    /// <param name="device">Where tensors are solved.</param>
    public string Key(string statistics, string device)
    {
        var key = new ContentKey("layer")
            .Add("engine", EngineVersion)
            .Add("tensors", TensorLibrary.Version)
            .Add("device", device)
            .Add("kind", plan.Shape.Kind.ToString())
            .Add("shape", string.Join('x', layer.Weight.shape))
            .Add("weight", run.WeightDigests[plan.Path])
            .Add("bias", run.Weights.Contains(layer.BiasName) ? run.Weights.Digest(layer.BiasName) : "")
            .Add("statistics", statistics)
            .Add("seed", run.Recipe.Seed);
        foreach (var step in plan.Steps)
        {
            key.Add("step", step.ToString()).Add("solver", SolverCatalog.For(step).Version);
        }

        return key.ToString();
    }

    /// <summary>Runs the steps. The caller owns the result.</summary>
    /// <exception cref="PipelineException">PDSL3007: a solver failed.</exception>
    public SolvedLayer Solve(LayerStatistics statistics)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        try
        {
            return SolveChain(statistics);
        }
        catch (Exception failure) when (failure is InvalidOperationException or ExternalException or ArgumentException)
        {
            throw new PipelineException(
                DiagnosticIds.LayerFailed,
                $"layer '{plan.Path}' [{plan.Shape.Rows} × {plan.Shape.Columns}], {plan.Describe()}: {failure.Message.Split('\n')[0].Trim()}",
                plan.Span,
                failure);
        }
    }

    private SolvedLayer SolveChain(LayerStatistics statistics)
    {
        var source = run.Weights.Read(layer.WeightName);
        var bias = run.Weights.Contains(layer.BiasName) ? run.Weights.Read(layer.BiasName) : null;
        Expression weight = new Dense(source.reshape(plan.Shape.Rows, plan.Shape.Columns));
        var original = weight.Materialize();
        Tensor? newBias = null;
        var facts = new SortedDictionary<string, double>(StringComparer.Ordinal);
        var notes = new List<string>();
        IReadOnlyList<double> spectrum = [];
        foreach (var step in plan.Steps)
        {
            var solution = SolverCatalog.For(step).Solve(new(plan.Path, weight, newBias ?? bias, statistics, run.Recipe.Seed) { Shape = plan.Shape }, step);
            weight.Dispose();
            weight = solution.Weight;
            newBias = solution.Bias ?? newBias;
            spectrum = solution.Spectrum.Count > 0 ? solution.Spectrum : spectrum;
            notes.AddRange(solution.Notes);
            foreach (var fact in solution.Facts)
            {
                facts[fact.Key] = fact.Value;
            }
        }

        facts["relativeError"] = RelativeError(original, weight);
        return new(weight, newBias?.DetachFromDisposeScope(), facts, spectrum, notes);
    }

    /// <summary>‖W − W′‖ / ‖W‖ in the Frobenius norm.</summary>
    private static double RelativeError(Tensor original, Expression weight)
    {
        var before = original.to(float64);
        double norm = before.norm().item<double>();
        return norm == 0 ? 0 : (before - weight.Materialize().to(float64)).norm().item<double>() / norm;
    }
}
