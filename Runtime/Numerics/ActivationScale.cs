using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>The channel scales of ASVD (arXiv:2312.05821, official code), a diagonal metric every low-rank result is compared with.</summary>
/// <param name="columns">n, the length of a vector.</param>
public sealed class ActivationScale(long columns) : IDisposable
{
    private readonly RunningTotal means = new(float64, columns);
    private readonly RunningTotal largest = new(float64, columns);

    /// <summary>Σ over samples of the mean over tokens of |x_j| [n] float64; owned here. The official code never divides by the number of samples.</summary>
    public Tensor MeanMagnitudes => means.Value;

    /// <summary>The largest |x_j| of all tokens [n] float64; owned here.</summary>
    public Tensor LargestMagnitudes => largest.Value;

    /// <summary>Adds one sample [tokens, n], any floating dtype.</summary>
    public void Add(Tensor x)
    {
        using var scope = NewDisposeScope();
        var magnitudes = x.detach().reshape(-1, columns).to(float64).abs();
        MatrixChecks.RequireFinite(magnitudes, "the layer's input");
        means.Add(magnitudes.mean([0]));
        largest.KeepLargest(magnitudes.amax(0));
    }

    /// <summary>a_j = (Σ mean |x_j|)^alpha + floor, the diagonal of L [n]; the caller owns it.</summary>
    public Tensor Diagonal(double alpha, double floor) => Diagonal(MeanMagnitudes, alpha, floor);

    /// <summary>a_j = magnitude_j^alpha + floor [n]; the caller owns it.</summary>
    public static Tensor Diagonal(Tensor magnitudes, double alpha, double floor)
    {
        using var powers = magnitudes.pow(alpha);
        return powers + floor;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        means.Dispose();
        largest.Dispose();
    }
}
