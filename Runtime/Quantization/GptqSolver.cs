using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a uniform grid by GPTQ.</summary>
/// <remarks>
/// Facts: <c>weightedError</c>, the squared error of the layer's outputs on the calibration data as a share of their energy, and <c>weightedErrorNearest</c>, the same for
/// rounding to nearest. A matrix for which rounding to nearest is better keeps that.
/// </remarks>
public sealed class GptqSolver : LayerSolver<Gptq>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Gptq step)
    {
        using var scope = NewDisposeScope();
        var moments = problem.Statistics.InputMoments ?? throw new InvalidOperationException("no input moments were collected for the layer");
        var notes = new List<string>();
        var weight = InputAware.Rewrite(problem.Weight, moments.Gram, (dense, gram) => Quantize(dense, gram, moments.Count, step, notes));
        using var nearest = problem.Weight.RewriteDense(dense => Nearest(dense, step));
        var original = problem.Weight.Materialize();
        var facts = new Dictionary<string, double>
        {
            ["weightedError"] = WeightedError.Of(original, weight.Materialize(), moments.Gram),
            ["weightedErrorNearest"] = WeightedError.Of(original, nearest.Materialize(), moments.Gram),
        };
        return new(weight, null, facts, [], [.. notes.Distinct()]);
    }

    private static Expression Quantize(Dense dense, Tensor gram, long count, Gptq step, List<string> notes)
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
        if (rounding.Damping > step.Damping)
        {
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"the second moment of the inputs is not positive definite; the damping was raised from {step.Damping} to {rounding.Damping}"));
        }

        var stored = rounding.Store(settings);
        var nearest = Nearest(dense, step);
        bool worse = !step.StoresOrder && WeightedError.Energy(dense.Matrix, nearest.Materialize(), gram) < WeightedError.Energy(dense.Matrix, stored.Materialize(), gram);
        if (worse)
        {
            notes.Add("rounding to nearest has the smaller error on the calibration data and was kept");
        }

        (worse ? stored : nearest).Dispose();
        return worse ? nearest : stored;
    }

    private static Grid Nearest(Dense dense, Quantize step) => RoundToNearest.Store(dense.Matrix, step);
}
