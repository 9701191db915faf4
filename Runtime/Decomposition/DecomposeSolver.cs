using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Replaces a weight by the leading slice of its <see cref="Projection"/> in the metric that the orientation names.</summary>
/// <remarks>
/// Facts: <c>rank</c>; <c>predictedLoss</c>, the squared error in the metric (for the whitened and output orientations the mean squared error of
/// an output vector on the calibration data); <c>energyKept</c>, its complement as a share; <c>damping</c> and <c>inverseError</c> (context);
/// <c>relativeError</c> of the stored weight.
/// </remarks>
public sealed class DecomposeSolver : LayerSolver<Decompose>
{
    /// <inheritdoc/>
    public override int Version => 1;

    /// <inheritdoc/>
    protected override LayerSolution Solve(LayerProblem problem, Decompose step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var oriented = Orientations.Orient(weight, step.Orientation, problem.Statistics, facts, layer.Note);
        var projection = Projection.Of(weight, oriented, LeftSvd.RouteFor(oriented.shape[0], oriented.shape[1]));

        int rank = layer.Clip(projection, step.Rank);
        double loss = projection.Loss(Slice.Top, rank);
        double energy = projection.Energy(Slice.Top, rank);
        facts["rank"] = rank;
        facts["predictedLoss"] = loss;
        facts["energyKept"] = LowRankWeight.Share(energy, energy + loss);

        var product = layer.Store(projection.Factors(Slice.Top, rank).Balance());
        var bias = step.Orientation == Orientation.Output ? CentredBias(problem, layer, weight, product.Materialize()) : null;
        return layer.Solution(product, bias, projection.Spectrum, facts);
    }

    /// <summary>b' = b + (W − W') μ_x, so that the mean output stays what it was (LoRD's U Uᵀ b + μ_y − U Uᵀ μ_y, rearranged).</summary>
    private static Tensor CentredBias(LayerProblem problem, LowRankWeight layer, Tensor weight, Tensor approximation)
    {
        var moments = problem.Statistics.InputMoments!;
        var bias = (weight - approximation).mv(moments.Sum / moments.Count);
        return (problem.Bias is null ? bias : bias + problem.Bias).to(layer.Dtype);
    }
}
