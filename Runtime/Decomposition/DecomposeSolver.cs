using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Replaces a weight by the leading slice of its <see cref="Projection"/> in the metric that the orientation names.</summary>
/// <remarks>
/// Facts: <c>rank</c>; <c>predictedLoss</c>, the squared error in the metric (for the whitened and output orientations the mean squared error of
/// an output vector on the calibration data); <c>energyKept</c>, its complement as a share; <c>certifiedExcess</c>, how far the loss can lie above the smallest one, as a share
/// of it (where the vectors were iterated for); <c>damping</c> and <c>inverseError</c> (context);
/// <c>relativeError</c> of the stored weight.
/// </remarks>
public sealed class DecomposeSolver : LayerSolver<Decompose>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Decompose step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var oriented = Orientations.Orient(weight, step.Orientation, problem.Statistics, facts, layer.Note);
        var projection = layer.Project(weight, oriented, step);
        int rank = layer.Keep(projection, step, facts);
        var product = layer.Store(projection.Factors(Slice.Top, rank).Balance());
        var bias = step.Orientation == Orientation.Output ? layer.CentredBias(weight, product.Materialize()) : null;
        return layer.Solution(product, bias, projection.Spectrum, facts);
    }
}
