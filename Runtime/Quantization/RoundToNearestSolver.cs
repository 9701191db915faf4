using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a uniform grid by rounding to nearest.</summary>
/// <remarks>Facts: <c>relativeError</c> of the stored weight against the weight as earlier steps left it.</remarks>
public sealed class RoundToNearestSolver : LayerSolver<Quantize>
{
    /// <summary>The smallest normal float16: smaller scales are stored with fewer digits.</summary>
    internal const double SmallestNormalHalf = 6.103515625e-05;

    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    /// <remarks>The weight, its codes and one block of rows.</remarks>
    public override double Copies(LayerShape layer, Quantize step) => 1.5;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Quantize step)
    {
        using var scope = NewDisposeScope();
        var notes = new List<string>();
        var weight = problem.Weight.RewriteDense(dense => Round(dense, step, notes));
        var facts = new Dictionary<string, double> { ["relativeError"] = MatrixChecks.RelativeError(problem.Weight, weight) };
        return new(weight, null, facts, [], [.. notes.Distinct()]);
    }

    private static Grid Round(Dense dense, Quantize step, List<string> notes)
    {
        using var scope = NewDisposeScope();
        var grid = RoundToNearest.Store(dense.Matrix, step);
        if (step.ScaleType == ScaleType.Float16 && grid.Scales.Materialize().min().item<float>() < SmallestNormalHalf)
        {
            notes.Add("some weights are so small that their float16 scales lose digits; 'scaleType: float32' keeps them");
        }

        return grid;
    }
}
