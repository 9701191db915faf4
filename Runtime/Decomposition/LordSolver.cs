using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Low-rank decomposition by the principal components of the outputs (LoRD, arXiv:2309.14021, input-side form).</summary>
/// <remarks>Facts: those of <see cref="DecomposeSolver"/>; <c>predictedLoss</c> is the mean squared error of an output vector on the calibration data.</remarks>
public sealed class LordSolver : DecomposingSolver<Lord>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    public override bool RunsOnDevice => true;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Lord step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var metric = step.Center ? Orientation.Output : Orientation.Whitened;
        var projection = layer.Project(weight, Orientations.Orient(weight, metric, problem.Statistics, facts, layer.Note), step);
        int rank = layer.Keep(projection, step, facts);

        // W2 = U, W1 = Uᵀ W as the paper has them, but balanced: they store and quantise better.
        var product = layer.Store(projection.Factors(Slice.Top, rank).Balance());
        return layer.Solution(product, step.Center ? layer.CentredBias(weight, product.Materialize()) : null, projection.Spectrum, facts);
    }
}
