using System.Runtime.InteropServices;
using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>The work on one layer: its chain of steps, run in order.</summary>
/// <param name="run">The prepared recipe.</param>
/// <param name="plan">The layer's plan.</param>
/// <param name="layer">The layer in the model.</param>
internal sealed class LayerUnit(PreparedRun run, PlannedLayer plan, ModelLayer layer)
{
    /// <summary>Raised when the engine treats solvers' inputs or outputs in another way, so that cached results are dropped.</summary>
    private const int EngineVersion = 4;

    /// <summary>What a solver takes at once unless it says otherwise, in float32 copies of the weight: enough for a complete decomposition in float64.</summary>
    public const double UsualCopies = 16;

    /// <summary>The relative error of a weight of zeros.</summary>
    private const double ErrorOfZeros = 1;

    /// <summary>The layer's path.</summary>
    public string Path => plan.Path;

    /// <summary>The layer's plan.</summary>
    public PlannedLayer Plan => plan;

    /// <summary>The steps that are solved for the layer alone; an adapter after them is trained with all others.</summary>
    public IReadOnlyList<Step> Steps { get; } = [.. plan.Steps.Where(step => step.Stage != Stage.Adapt)];

    /// <summary>The step whose result is trained, or null.</summary>
    public Step? Trained => plan.Steps is [.., { IsTrained: true } last] ? last : null;

    /// <summary>The layer in the model.</summary>
    public ModelLayer Layer => layer;

    /// <summary>What all its steps ask for.</summary>
    public StatisticKinds Needs => Steps.Aggregate(StatisticKinds.None, (needs, step) => needs | step.NeedsOf(plan.Shape));

    /// <summary>The content key: everything the result depends on.</summary>
    /// <param name="statistics">The file with each layer's statistics, by path; its name is its digest.</param>
    /// <param name="device">Where tensors are solved.</param>
    public string Key(IReadOnlyDictionary<string, string> statistics, string device) => AddSteps(StartKey("layer", statistics, device), Steps).ToString();

    /// <summary>The content key of the errors of several candidates of each step.</summary>
    /// <param name="statistics">As for <see cref="Key"/>.</param>
    /// <param name="device">Where tensors are solved.</param>
    /// <param name="candidates">As for <see cref="Compare"/>.</param>
    public string ErrorsKey(IReadOnlyDictionary<string, string> statistics, string device, IReadOnlyList<IReadOnlyList<Step?>> candidates)
    {
        var key = StartKey("errors", statistics, device);
        foreach (var step in Solved(candidates))
        {
            AddSteps(key.Add("candidates", step.Count), step.OfType<Step>());
        }

        return key.ToString();
    }

    private ContentKey StartKey(string kind, IReadOnlyDictionary<string, string> statistics, string device) => new ContentKey(kind)
        .Add("engine", EngineVersion)
        .Add("tensors", TensorLibrary.Version)
        .Add("device", device)
        .Add("kind", plan.Shape.Kind.ToString())
        .Add("shape", string.Join('x', layer.Weight.shape))
        .Add("weight", run.WeightDigests[plan.Path])
        .Add("bias", run.Weights.Contains(layer.BiasName) ? run.Weights.Digest(layer.BiasName) : "")
        .Add("statistics", statistics.TryGetValue(plan.Path, out string? file) ? System.IO.Path.GetFileName(file) : "")
        .Add("seed", run.Recipe.Seed);

    private static ContentKey AddSteps(ContentKey key, IEnumerable<Step> steps)
    {
        foreach (var step in steps)
        {
            key.Add("step", step.ToString()).Add("solver", SolverCatalog.For(step).Version);
        }

        return key;
    }

    /// <summary>How the layer's last step trains its result, or null when it does not.</summary>
    public ReconstructionSettings? Reconstruction =>
        Steps.Count > 0 && SolverCatalog.For(Steps[^1]) is IReconstructingSolver solver && solver.SettingsOf(Steps[^1]) is { Steps: > 0 } settings ? settings : null;

    /// <summary>Runs the steps. The caller owns the result.</summary>
    /// <exception cref="PipelineException">PDSL3007: a solver failed.</exception>
    public SolvedLayer Solve(LayerStatistics statistics) => Guarded(() => SolveChain(statistics, Steps));

    /// <summary>Predicts the error of every combination of candidates of the chain's steps, the last step's varying fastest.</summary>
    /// <param name="statistics">The layer's statistics.</param>
    /// <param name="candidates">The candidates of each step of the chain; null leaves the step out.</param>
    /// <returns>Squared errors as shares of the energy; a later step's is measured on what the last candidate before it leaves, and taken of the energy that is kept: e = e₁ + (1 − e₁) e₂. With them what the errors of a layer's only step are shares of, where that may be compared.</returns>
    /// <exception cref="PipelineException">PDSL3007: a solver failed.</exception>
    public LayerErrors Compare(LayerStatistics statistics, IReadOnlyList<IReadOnlyList<Step?>> candidates) => Guarded(() =>
    {
        using var weight = new Dense(run.Weights.Read(layer.WeightName).reshape(plan.Shape.Rows, plan.Shape.Columns));
        var bias = run.Weights.Contains(layer.BiasName) ? run.Weights.Read(layer.BiasName) : null;
        return CompareFrom(new(plan.Path, weight, bias, statistics, run.Recipe.Seed) { Shape = plan.Shape }, Solved(candidates));
    });

    private static IReadOnlyList<IReadOnlyList<Step?>> Solved(IReadOnlyList<IReadOnlyList<Step?>> candidates) => [.. candidates.Where(step => step is not [{ Stage: Stage.Adapt }])];

    private LayerErrors CompareFrom(LayerProblem problem, IReadOnlyList<IReadOnlyList<Step?>> candidates)
    {
        if (candidates.Count == 0)
        {
            return new([0], null);
        }

        IReadOnlyList<IReadOnlyList<Step?>> later = [.. candidates.Skip(1)];
        List<double> errors = [];
        double? energy = null;
        if (candidates[0].OfType<Step>().ToList() is { Count: > 0 } steps)
        {
            var compared = Compared(problem, steps);
            using var weight = compared.Weight;
            energy = later.Count == 0 ? compared.Energy : null;
            var rest = CompareFrom(problem with { Weight = weight }, later).Errors;
            errors.AddRange(compared.Errors.SelectMany(own => rest.Select(error => own + ((1 - own) * error))));
        }

        return new(candidates[0].Contains(null) ? [.. errors, .. CompareFrom(problem, later).Errors] : errors, energy);
    }

    /// <summary>The result of the steps as something trainable; the caller owns it.</summary>
    /// <param name="statistics">The layer's statistics.</param>
    /// <param name="solved">The result; still the caller's.</param>
    /// <exception cref="PipelineException">PDSL3007: a solver failed.</exception>
    public TrainableWeight Start(LayerStatistics statistics, SolvedLayer solved) => WithProblem(statistics, problem =>
        ((IReconstructingSolver)SolverCatalog.For(Steps[^1])).Start(problem, Steps[^1], new(solved.Weight, solved.Bias, solved.Facts, solved.Spectrum, [])));

    /// <summary>What rounding to nearest makes of the layer on the grid of its last step; null for a step without one. The caller owns it.</summary>
    /// <param name="statistics">The layer's statistics.</param>
    public Expression? RoundToNearest(LayerStatistics statistics) => Steps[^1] is not Quantize step ? null : WithProblem(statistics, problem =>
    {
        var plain = new Quantize { Bits = step.Bits, Granularity = step.Granularity, GroupSize = step.GroupSize, ScaleType = step.ScaleType, Symmetric = step.Symmetric };
        return SolverCatalog.For(plain).Solve(problem, plain).Weight;
    });

    /// <summary>The result with another weight; nothing changes hands.</summary>
    /// <param name="solved">The result.</param>
    /// <param name="weight">The weight instead of the result's.</param>
    /// <param name="bias">The bias instead of the result's, or null to leave it.</param>
    /// <param name="facts">Facts that are added.</param>
    /// <param name="notes">Notes that are added.</param>
    public SolvedLayer With(SolvedLayer solved, Expression weight, Tensor? bias, IReadOnlyDictionary<string, double> facts, IEnumerable<string> notes)
    {
        using var scope = NewDisposeScope();
        var all = new SortedDictionary<string, double>(solved.Facts, StringComparer.Ordinal);
        foreach (var fact in facts)
        {
            all[fact.Key] = fact.Value;
        }

        all["relativeError"] = RelativeError(weight);
        return new(weight, bias ?? solved.Bias, all, solved.Spectrum, [.. solved.Notes, .. notes]);
    }

    /// <summary>Works on the layer as the steps before the last one leave it.</summary>
    private T WithProblem<T>(LayerStatistics statistics, Func<LayerProblem, T> work) => Guarded(() =>
    {
        using var before = SolveChain(statistics, [.. Steps.Take(Steps.Count - 1)]);
        var bias = before.Bias ?? (run.Weights.Contains(layer.BiasName) ? run.Weights.Read(layer.BiasName) : null);
        return work(new(plan.Path, before.Weight, bias, statistics, run.Recipe.Seed) { Shape = plan.Shape });
    });

    private T Guarded<T>(Func<T> work)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        try
        {
            return work();
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

    private SolvedLayer SolveChain(LayerStatistics statistics, IReadOnlyList<Step> steps)
    {
        var bias = run.Weights.Contains(layer.BiasName) ? run.Weights.Read(layer.BiasName) : null;
        Expression weight = Source();
        Tensor? newBias = null;
        var facts = new SortedDictionary<string, double>(StringComparer.Ordinal);
        var notes = new List<string>();
        IReadOnlyList<double> spectrum = [];
        foreach (var step in steps)
        {
            var solution = Solve(new(plan.Path, weight, newBias ?? bias, statistics, run.Recipe.Seed) { Shape = plan.Shape }, step);
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

        facts["relativeError"] = RelativeError(weight);
        if (facts["relativeError"] == ErrorOfZeros)
        {
            notes.Add("nothing of the weight is left, for all values are stored as zeros; where they are as small as that, 'scaleType: float32' keeps them");
        }

        return new(weight, newBias?.DetachFromDisposeScope(), facts, spectrum, notes);
    }

    /// <summary>Runs a step where its solver can; what comes back is on the CPU.</summary>
    private LayerSolution Solve(LayerProblem problem, Step step)
    {
        var solver = SolverCatalog.For(step);
        return OnDevice(solver, problem, there => solver.Solve(there, step), solution =>
        {
            using var weight = solution.Weight;
            return solution with { Weight = weight.To(CPU), Bias = solution.Bias?.to(CPU).MoveToOuterDisposeScope() };
        });
    }

    /// <inheritdoc cref="Solve(LayerProblem, Step)"/>
    private CandidateErrors Compared(LayerProblem problem, List<Step> candidates)
    {
        var solver = SolverCatalog.For(candidates[0]);
        return OnDevice(solver, problem, there => solver.Compare(there, candidates), compared =>
        {
            using var weight = compared.Weight;
            return compared with { Weight = weight.To(CPU) };
        });
    }

    private T OnDevice<T>(ILayerSolver solver, LayerProblem problem, Func<LayerProblem, T> work, Func<T, T> back)
    {
        if (run.Device.type == DeviceType.CPU || !solver.RunsOnDevice)
        {
            return work(problem);
        }

        using var scope = NewDisposeScope();
        var there = problem.To(run.Device);
        using var original = there.Weight;
        return back(work(there));
    }

    /// <summary>The weight as it was given; nothing else holds its memory.</summary>
    private Dense Source()
    {
        using var source = run.Weights.Read(layer.WeightName);
        return new(source.reshape(plan.Shape.Rows, plan.Shape.Columns));
    }

    /// <summary>‖W − W′‖ / ‖W‖ in the Frobenius norm; W is read again, a few rows at a time.</summary>
    private double RelativeError(Expression weight)
    {
        long height = RowBlocks.Height(plan.Shape.Columns);
        double error = MatrixChecks.RelativeError(RowBlocks.Of(plan.Shape.Rows, plan.Shape.Columns).Select(block => SourceRows(block.First, block.Count)), weight.MaterializeBlocks(height));
        return double.IsFinite(error) ? error : 0;
    }

    private Tensor SourceRows(long first, long count)
    {
        using var rows = run.Weights.ReadRows(layer.WeightName, first, count);
        return rows.reshape(count, plan.Shape.Columns);
    }
}

/// <summary>What is predicted about the choices of a layer.</summary>
/// <param name="Errors">The squared error of each, as a share of the energy.</param>
/// <param name="Energy">As <see cref="CandidateErrors"/> has it.</param>
internal sealed record LayerErrors(IReadOnlyList<double> Errors, double? Energy);
