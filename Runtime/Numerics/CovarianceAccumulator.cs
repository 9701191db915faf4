using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>The context covariance of CorDA (arXiv:2406.05223): the mean over samples of xᵀ x, each sample first divided by a scalar of its own.</summary>
/// <param name="columns">n, the length of a vector.</param>
/// <param name="kind">Which scalar: <see cref="StatisticKinds.ContextCovariance"/>, <see cref="StatisticKinds.ContextCovarianceSignedMax"/> or <see cref="StatisticKinds.ContextCovarianceUnscaled"/>.</param>
public sealed class CovarianceAccumulator(long columns, StatisticKinds kind) : IDisposable
{
    private readonly RunningTotal sum = new(float64, columns, columns);

    /// <summary>Number of samples so far.</summary>
    public long Count { get; private set; }

    /// <summary>Σ xᵀ x of the scaled samples [n, n] float64; owned by the accumulator.</summary>
    public Tensor Sum => sum.Value;

    /// <summary>Adds one sample.</summary>
    /// <param name="x">One sequence [tokens, n], any floating dtype; padding already masked out.</param>
    /// <exception cref="InvalidOperationException">It holds NaN or infinity, or its signed maximum is zero though it is not.</exception>
    public void Add(Tensor x)
    {
        using var scope = NewDisposeScope();
        var sample = x.detach().reshape(-1, columns).to(float64);
        MatrixChecks.RequireFinite(sample, "the layer's input");
        var scaled = sample / Scale(sample);
        sum.Add(scaled.mT.mm(scaled));
        Count++;
    }

    /// <summary>The mean over samples [n, n] float64; the caller owns it.</summary>
    /// <exception cref="InvalidOperationException">There are no samples.</exception>
    public Tensor Mean() => Count > 0 ? Sum / Count : throw new InvalidOperationException("no calibration data reached the layer");

    /// <inheritdoc/>
    public void Dispose() => sum.Dispose();

    private double Scale(Tensor sample)
    {
        double largest = sample.abs().max().item<double>();
        if (largest == 0 || kind == StatisticKinds.ContextCovarianceUnscaled)
        {
            return 1;
        }

        // The official code divides by |max x|, not by max |x|: a sample whose largest entry is near 0 blows up.
        double scale = kind == StatisticKinds.ContextCovarianceSignedMax ? Math.Abs(sample.max().item<double>()) : largest;
        return scale > 0 ? scale : throw new InvalidOperationException("the largest value of a calibration sample is 0, so it cannot be divided by it; use 'sampleNormalization: absMax'");
    }
}
