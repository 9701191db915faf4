using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a uniform grid by GPTQ, or rounds all of them to nearest where that has the smaller error of the layer's outputs.</summary>
/// <remarks>Facts: those of <see cref="NearestChoice"/>, and <c>damping</c>, the largest that a matrix needed.</remarks>
public sealed class GptqSolver : LayerSolver<Gptq>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Gptq step)
    {
        using var scope = NewDisposeScope();
        var moments = problem.Statistics.InputMoments ?? throw new InvalidOperationException("no input moments were collected for the layer");
        var notes = new List<string>();
        var facts = new Dictionary<string, double> { ["damping"] = 0 };
        var found = InputAware.Rewrite(problem.Weight, moments.Gram, (dense, gram) => Quantize(dense, gram, moments.Count, step, facts, notes));
        var nearest = problem.Weight.RewriteDense(dense => Nearest(dense, step));
        return NearestChoice.Of(problem, found, nearest, moments.Gram, facts, notes);
    }

    private static Expression Quantize(Dense dense, Tensor gram, long count, Gptq step, Dictionary<string, double> facts, List<string> notes)
    {
        using var scope = NewDisposeScope();
        var settings = GptqSettings.Of(step, dense.Rows, dense.Columns);
        var hessian = gram * (2.0 / Math.Max(1, count));
        if (hessian.diagonal().max().item<double>() <= 0)
        {
            notes.Add("the calibration inputs are all zero, so values are rounded to nearest");
            return Nearest(dense, step);
        }

        var rounding = GptqRounding.Of(dense.Matrix, hessian, settings);
        facts["damping"] = Math.Max(facts["damping"], rounding.Damping);
        if (rounding.Damping > step.Damping)
        {
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"the second moment of the inputs is not positive definite; the damping was raised from {step.Damping} to {rounding.Damping}"));
        }

        return rounding.Store(settings);
    }

    /// <summary>Rounded to nearest, with its columns in their own order where a stored order is part of the form.</summary>
    private static Expression Nearest(Dense dense, Gptq step)
    {
        var grid = RoundToNearest.Store(dense.Matrix, step);
        return step.StoresOrder ? new Permuted(grid, arange(dense.Columns, dtype: int32)) : grid;
    }
}
