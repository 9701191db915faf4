using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Fixes the free signs of singular vectors and eigenvectors, so that every machine stores the same factors.</summary>
public static class SignGauge
{
    /// <summary>The signs that make the entry of largest magnitude of each column positive.</summary>
    /// <param name="vectors">[m, k] float64.</param>
    /// <returns>±1 [k] float64; the caller owns it.</returns>
    public static Tensor Of(Tensor vectors)
    {
        using var scope = NewDisposeScope();
        var largest = vectors.gather(0, vectors.abs().argmax(0, keepdim: true)).squeeze(0);
        return where(largest < 0, -1.0, 1.0).to(float64).MoveToOuterDisposeScope();
    }
}
