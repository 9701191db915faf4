using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Replaces a weight by the leading slice of its <see cref="Numerics.Projection"/> in the metric that the orientation names.</summary>
/// <remarks>
/// Facts: <c>rank</c>; <c>predictedLoss</c>, the squared error in the metric (for the whitened and output orientations the mean squared error of
/// an output vector on the calibration data); <c>energyKept</c>, its complement as a share; <c>certifiedExcess</c>, how far the loss can lie above the smallest one, as a
/// share of it (where the vectors were iterated for); <c>damping</c> and <c>inverseError</c> (context);
/// <c>relativeError</c> of the stored weight.
/// </remarks>
public sealed class DecomposeSolver : DecomposingSolver<Decompose>
{
    /// <inheritdoc/>
    public override int Version => 2;

    /// <inheritdoc/>
    public override bool RunsOnDevice => true;

    /// <inheritdoc/>
    /// <remarks>An iteration takes the weight as it is stored and thin factors; where its certificate is not good enough, it asks for what a complete decomposition takes.</remarks>
    public override double Copies(LayerShape layer, Decompose step) => MatrixFactors.IsIterated(layer, step)
        ? 1 + ((double)LeftSvd.IterationBytes(layer.Rows, layer.Columns, step.Rank) / (sizeof(float) * layer.Count))
        : base.Copies(layer, step);

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Decompose step) => problem.Shape.Kind == LayerKinds.Embedding && step.Orientation != Orientation.Weight
        ? TableFactors.Solve(problem, step, TableFactors.AccessCounts(problem))
        : MatrixFactors.Solve(problem, step);
}
