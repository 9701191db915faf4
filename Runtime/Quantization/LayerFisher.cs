using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>How sensitive the loss is to each weight of a layer.</summary>
internal static class LayerFisher
{
    /// <summary>Squared gradients summed over samples [rows, columns] float32, owned by the statistics; null where no gradient reached the layer.</summary>
    /// <exception cref="InvalidOperationException">They were not collected, or hold NaN or infinity.</exception>
    public static Tensor? Of(LayerProblem problem)
    {
        var fisher = problem.Statistics.FisherDiagonal ?? throw new InvalidOperationException("no Fisher information was collected for the layer");
        MatrixChecks.RequireFinite(fisher, "the calibration statistic");
        using var largest = fisher.max();
        return largest.item<float>() > 0 ? fisher : null;
    }

    /// <summary>The dense matrices that are added up to the weight: ∂L/∂A is ∂L/∂W for W = A + B, and nothing as simple for factors.</summary>
    public static IReadOnlySet<Dense> Terms(Expression weight) => weight switch
    {
        Dense dense => new HashSet<Dense> { dense },
        Sum sum => sum.Parts.SelectMany(Terms).ToHashSet(),
        _ => new HashSet<Dense>(),
    };
}
