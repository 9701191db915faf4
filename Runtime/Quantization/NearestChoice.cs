using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A weight that was quantised by its inputs, or the same rounded to nearest where that has the smaller error of the layer's outputs on the calibration data.</summary>
/// <remarks>Adds two facts: <c>weightedError</c>, the squared error of the outputs as a share of their energy, and <c>weightedErrorNearest</c>, the same for rounding to nearest.</remarks>
internal static class NearestChoice
{
    /// <summary>Chooses, and disposes of the other.</summary>
    /// <param name="problem">The layer, with its weight as it was.</param>
    /// <param name="found">The weight that the method found.</param>
    /// <param name="nearest">The same weight rounded to nearest, in as many bytes.</param>
    /// <param name="gram">Σ x xᵀ over the layer's inputs [columns, columns] float64.</param>
    /// <param name="facts">What is known so far.</param>
    /// <param name="notes">What was noted so far; each is told once.</param>
    public static LayerSolution Of(LayerProblem problem, Expression found, Expression nearest, Tensor gram, Dictionary<string, double> facts, List<string> notes)
    {
        using var scope = NewDisposeScope();
        var original = problem.Weight.Materialize();
        double energy = WeightedError.Energy(original, null, gram);
        double error = WeightedError.Energy(original, found.Materialize(), gram);
        double errorNearest = WeightedError.Energy(original, nearest.Materialize(), gram);
        bool worse = errorNearest < error;
        if (worse)
        {
            notes.Add("rounding to nearest has the smaller error on the calibration data and was kept");
        }

        (worse ? found : nearest).Dispose();
        facts["weightedError"] = Share(Math.Min(error, errorNearest));
        facts["weightedErrorNearest"] = Share(errorNearest);
        return new(worse ? nearest : found, null, facts, [], [.. notes.Distinct()]);

        double Share(double part) => part == 0 ? 0 : part / energy;
    }
}
