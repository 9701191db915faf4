using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>Two factors of a weight matrix: the leading slice of its projection in the metric that the step's orientation names.</summary>
internal static class MatrixFactors
{
    /// <summary>Whether the weight alone is decomposed, and iterated for: then it is multiplied as it is stored.</summary>
    public static bool IsIterated(LayerShape layer, Decompose step) =>
        step.Orientation == Orientation.Weight && (layer.Kernel is null || step.ConvForm != ConvForm.SpatialWise) && LeftSvd.IsIterated(layer.Rows, layer.Columns, step.Rank, step.Accuracy);

    /// <summary>The factors, and the bias that keeps the mean output where the orientation asks for it.</summary>
    public static LayerSolution Solve(LayerProblem problem, Decompose step)
    {
        using var scope = NewDisposeScope();
        var layer = new LowRankWeight(problem);
        var facts = new Dictionary<string, double>();
        var weight = IsIterated(problem.Shape, step) ? layer.Stored() : layer.Exact();
        var kernel = step.ConvForm == ConvForm.SpatialWise ? problem.Shape.Kernel : null;
        weight = kernel is null ? weight : SpatialKernel.Unfold(weight, kernel.Height, kernel.Width);
        var oriented = Orientations.Orient(weight, step.Orientation, problem.Statistics, facts, layer.Note);
        var projection = layer.Project(weight, oriented, step);
        int rank = layer.Keep(projection, step, facts);
        Expression product = layer.Store(projection.Factors(Slice.Top, rank).Balance());
        product = kernel is null ? product : new SpatialKernel(product, kernel.Height, kernel.Width);
        var bias = step.Orientation == Orientation.Output ? layer.CentredBias(weight, product.Materialize()) : null;
        return layer.Solution(product, bias, projection.Spectrum, facts);
    }
}
