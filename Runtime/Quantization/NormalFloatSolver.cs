using PipelineDsl.Runtime.Engine;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Puts every dense matrix of a weight on quantiles of the normal distribution.</summary>
/// <remarks>Facts: <c>bitsPerWeight</c>, tables and scales counted.</remarks>
public sealed class NormalFloatSolver : LayerSolver<NormalFloat>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, NormalFloat step)
    {
        using var scope = NewDisposeScope();
        var weight = problem.Weight.RewriteDense(dense => NormalFloatMatrix.Store(dense.Matrix, step));
        return new(weight, null, new Dictionary<string, double> { ["bitsPerWeight"] = 8.0 * weight.Bytes / (weight.Rows * weight.Columns) }, [], []);
    }
}
