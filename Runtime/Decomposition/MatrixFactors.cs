using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Two factors of a weight matrix: the leading slice of its projection in the metric that the step's orientation names.</summary>
internal static class MatrixFactors
{
    /// <summary>The factors, and the bias that keeps the mean output where the orientation asks for it.</summary>
    public static LayerSolution Solve(LayerProblem problem, Decompose step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = layer.Exact();
        var kernel = step.ConvForm == ConvForm.SpatialWise ? problem.Shape.Kernel : null;
        weight = kernel is null ? weight : SpatialKernel.Unfold(weight, kernel.Height, kernel.Width);
        var oriented = Orientations.Orient(weight, step.Orientation, problem.Statistics, facts, layer.Note);
        var projection = Projection.Of(weight, oriented, LeftSvd.RouteFor(oriented.shape[0], oriented.shape[1]));

        int rank = layer.Clip(projection, step.Rank);
        double loss = projection.Loss(Slice.Top, rank);
        double energy = projection.Energy(Slice.Top, rank);
        facts["rank"] = rank;
        facts["predictedLoss"] = loss;
        facts["energyKept"] = LowRankWeight.Share(energy, energy + loss);

        Expression product = layer.Store(projection.Factors(Slice.Top, rank).Balance());
        product = kernel is null ? product : new SpatialKernel(product, kernel.Height, kernel.Width);
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
