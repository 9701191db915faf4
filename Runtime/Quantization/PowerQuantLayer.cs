using System.Globalization;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on a <see cref="PowerGrid"/> with an exponent of its own.</summary>
internal static class PowerQuantLayer
{
    /// <summary>The name of the fact that holds the exponent of a matrix, in the order in which the weight's form names them.</summary>
    public static string ExponentFact(int matrix) => matrix == 0 ? "exponent" : string.Create(CultureInfo.InvariantCulture, $"exponent.{matrix}");

    /// <summary>
    /// Facts: <c>exponent</c> (<c>exponent.1</c>, … of further matrices); <c>gridError</c>, ‖W − Ŵ‖_p summed over matrices, and <c>uniformGridError</c> with exponent 1; <c>bitsPerWeight</c>;
    /// <c>relativeError</c> of the stored weight.
    /// </summary>
    public static LayerSolution Solve(LayerProblem problem, PowerQuant step)
    {
        using var scope = NewDisposeScope();
        var facts = new Dictionary<string, double> { ["gridError"] = 0, ["uniformGridError"] = 0 };
        int next = 0;
        var weight = problem.Weight.RewriteDense(dense =>
        {
            using var inner = NewDisposeScope();
            using var grid = Grid(dense, step);
            double exponent = step.Exponent > 0 ? step.Exponent : PowerExponent.Search(a => grid.Error(a, step.Norm), step.LowestExponent, step.HighestExponent).Value;
            facts[ExponentFact(next++)] = exponent;
            facts["gridError"] += grid.Error(exponent, step.Norm);
            facts["uniformGridError"] += grid.Error(1, step.Norm);
            return grid.Store(grid.Codes(exponent), exponent);
        });
        facts["bitsPerWeight"] = 8.0 * weight.Bytes / (weight.Rows * weight.Columns);
        facts["relativeError"] = MatrixChecks.RelativeError(problem.Weight.Materialize(), weight.Materialize());
        return new(weight, null, facts, [], []);
    }

    /// <summary>The grid of a matrix; the caller owns it.</summary>
    public static PowerGrid Grid(Dense dense, PowerQuant step) => new(dense.Matrix, step, Dtypes.Of(step.ScaleType));
}
