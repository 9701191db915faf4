using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A layer to compress: its weight so far and what is known about it.</summary>
/// <param name="Path">The layer's path, for messages.</param>
/// <param name="Weight">The weight as earlier steps left it.</param>
/// <param name="Bias">The bias [rows], or null.</param>
/// <param name="Statistics">What the step asked for.</param>
/// <param name="Seed">A seed of this layer's own.</param>
public sealed record LayerProblem(string Path, Expression Weight, Tensor? Bias, LayerStatistics Statistics, long Seed)
{
    /// <summary>What the layer is; a linear layer unless said otherwise.</summary>
    public LayerShape Shape { get; init; } = new(LayerKinds.Linear, Weight.Rows, Weight.Columns);

    /// <summary>The same problem on a device, in the current dispose scope.</summary>
    internal LayerProblem To(Device device) => this with { Weight = Weight.To(device), Bias = Bias?.to(device), Statistics = Statistics.To(device) };
}

/// <summary>A compressed layer.</summary>
/// <param name="Weight">The new weight; the caller owns it.</param>
/// <param name="Bias">The new bias [rows], or null where the old one stays; the caller owns it.</param>
/// <param name="Facts">Numbers for manifest and report, by name: <c>predictedLoss</c>, <c>energyKept</c>, <c>damping</c>.</param>
/// <param name="Spectrum">Singular values in the metric of the decomposition, descending, or nothing.</param>
/// <param name="Notes">What the solver changed about the request, for a warning: a clipped rank, a dead layer.</param>
public sealed record LayerSolution(
    Expression Weight,
    Tensor? Bias,
    IReadOnlyDictionary<string, double> Facts,
    IReadOnlyList<double> Spectrum,
    IReadOnlyList<string> Notes);

/// <summary>What each candidate of a step costs in quality.</summary>
/// <param name="Errors">The squared error of each as a share of the energy, all in one metric; 0 loses nothing.</param>
/// <param name="Weight">The weight that the last candidate gives; the caller owns it.</param>
public sealed record CandidateErrors(IReadOnlyList<double> Errors, Expression Weight)
{
    /// <summary>What the errors are shares of, for a method that is meant to compare layers by it; null where layers are compared by shares.</summary>
    public double? Energy { get; init; }
}

/// <summary>Carries out one kind of step on one layer.</summary>
public interface ILayerSolver
{
    /// <summary>The step it carries out.</summary>
    Type StepType { get; }

    /// <summary>Raised whenever the same input gives another result, so that cached results are dropped.</summary>
    int Version { get; }

    /// <summary>Whether it computes where the problem's tensors are, a GPU included; otherwise they are on the CPU.</summary>
    bool RunsOnDevice { get; }

    /// <summary>The most memory that the solver takes at once, the weight itself included and statistics not, in float32 copies of the weight.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="step">A step of the solver's kind.</param>
    double Copies(LayerShape layer, Step step);

    /// <summary>Compresses a layer. Runs inside a dispose scope, without gradients, on one thread.</summary>
    LayerSolution Solve(LayerProblem problem, Step step);

    /// <summary>Predicts what each of several settings of the step costs in quality. Runs as <see cref="Solve"/> does.</summary>
    /// <param name="problem">The layer.</param>
    /// <param name="candidates">Steps of the solver's kind, at least one; a step's <see cref="Step.Candidates"/>, or some of them in their order.</param>
    CandidateErrors Compare(LayerProblem problem, IReadOnlyList<Step> candidates);
}

/// <summary>Carries out <typeparamref name="TStep"/> on one layer.</summary>
/// <typeparam name="TStep">The step.</typeparam>
public abstract class LayerSolver<TStep> : ILayerSolver
    where TStep : Step
{
    /// <inheritdoc/>
    public Type StepType => typeof(TStep);

    /// <inheritdoc/>
    public abstract int Version { get; }

    /// <inheritdoc/>
    public virtual bool RunsOnDevice => false;

    /// <inheritdoc/>
    public double Copies(LayerShape layer, Step step) => Copies(layer, (TStep)step);

    /// <inheritdoc cref="ILayerSolver.Copies"/>
    /// <remarks>Enough for a complete decomposition in float64; a method that is known to take less says so.</remarks>
    public virtual double Copies(LayerShape layer, TStep step) => LayerUnit.UsualCopies;

    /// <inheritdoc/>
    public LayerSolution Solve(LayerProblem problem, Step step) => Solve(problem, (TStep)step);

    /// <inheritdoc/>
    /// <remarks>Solves with each candidate and measures; a method that knows its errors in a cheaper way says so here.</remarks>
    public virtual CandidateErrors Compare(LayerProblem problem, IReadOnlyList<Step> candidates)
    {
        double[] errors = new double[candidates.Count];
        Expression? last = null;
        using var original = problem.Weight.Materialize();
        for (int i = 0; i < errors.Length; i++)
        {
            using var scope = NewDisposeScope();
            last?.Dispose();
            var solution = Solve(problem, candidates[i]);
            solution.Bias?.Dispose();
            last = solution.Weight;
            errors[i] = WeightedError.Of(problem, original, last.Materialize());
        }

        return new(errors, last!);
    }

    /// <summary>Compresses a layer.</summary>
    protected abstract LayerSolution Solve(LayerProblem problem, TStep step);
}
