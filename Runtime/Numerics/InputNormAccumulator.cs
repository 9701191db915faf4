using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>How strong each input channel is: the mean over samples of its L2 norm over tokens (BitStack, arXiv:2410.23918), in float64.</summary>
/// <param name="columns">n, the length of a vector.</param>
public sealed class InputNormAccumulator(long columns) : IDisposable
{
    private readonly RunningTotal sum = new(float64, columns);

    /// <summary>Number of samples so far.</summary>
    public long Count { get; private set; }

    /// <summary>Σ over samples of the norms [n] float64; owned by the accumulator.</summary>
    public Tensor Sum => sum.Value;

    /// <summary>Adds samples.</summary>
    /// <param name="x">[samples, …, n], any floating dtype; padding already masked out.</param>
    /// <exception cref="InvalidOperationException">They hold NaN or infinity.</exception>
    public void Add(Tensor x)
    {
        using var scope = NewDisposeScope();
        var samples = x.detach().reshape(x.shape[0], -1, columns).to(float64);
        MatrixChecks.RequireFinite(samples, "the layer's input");
        sum.Add(samples.square().sum(1).sqrt().sum([0]));
        Count += samples.shape[0];
    }

    /// <summary>The mean norms [n] float64; the caller owns them.</summary>
    /// <exception cref="InvalidOperationException">There are no samples.</exception>
    public Tensor Mean() => Count > 0 ? Sum / Count : throw new InvalidOperationException("no calibration data reached the layer");

    /// <inheritdoc/>
    public void Dispose() => sum.Dispose();
}
