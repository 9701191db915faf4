using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>The mean squared error of one linear layer's outputs, X (Ŵ − W)ᵀ, over all samples and outputs; float64.</summary>
/// <remarks>Through the Gram matrix XᵀX, so that neither its cost nor its memory depends on the number of samples: the loss is tr(E G Eᵀ) / (N m), its gradient 2 E G / (N m).</remarks>
/// <param name="weight">W [m, n].</param>
/// <param name="gram">XᵀX [n, n].</param>
/// <param name="count">N, the samples in it.</param>
internal sealed class OutputError(Tensor weight, Tensor gram, long count) : IReconstructionObjective
{
    private readonly Tensor exact = weight.to(float64);
    private readonly Tensor metric = gram.to(float64) / ((double)count * weight.shape[0]);

    /// <summary>The error on samples [N, n].</summary>
    public static OutputError On(Tensor weight, Tensor x)
    {
        using var wide = x.to(float64, copy: true);
        using var gram = wide.mT.mm(wide);
        return new(weight, gram, x.shape[0]);
    }

    public (double Loss, IReadOnlyList<LayerState> Gradients) Differentiate(int step, IReadOnlyList<LayerState> layers)
    {
        var error = layers[0].Weight!.to(float64) - exact;
        var weighted = error.mm(metric);
        return ((weighted * error).sum().item<double>(), [new(2 * weighted, null)]);
    }

    public double Measure(IReadOnlyList<LayerState> layers) => Differentiate(0, layers).Loss;
}
