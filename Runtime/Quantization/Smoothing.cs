using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Vectors s that move what is hard to round from inputs to weights: x/s and W diag(s) (SmoothQuant's, searched for as SVDQuant does, arXiv:2411.05007).</summary>
internal static class Smoothing
{
    /// <summary>The exponents to try, in the order in which the last of equals wins.</summary>
    public static IReadOnlyList<(double Alpha, double Beta)> Candidates(SvdQuant step)
    {
        double[] shares = [.. Enumerable.Range(1, step.SmoothingSteps - 1).Select(i => (double)i / step.SmoothingSteps)];
        var inputs = shares.Select(share => (share, 0.0));
        var balanced = shares.Select(share => (share, 1 - share));
        return step.Smoothing switch
        {
            SmoothingFamily.None => [(0, 0)],
            SmoothingFamily.Fixed => [(step.Alpha, step.Beta)],
            SmoothingFamily.Inputs => [(0, 0), .. inputs],
            SmoothingFamily.Balanced => [(0, 0), .. balanced],
            _ => [(0, 0), .. inputs, .. balanced],
        };
    }

    /// <summary>s = inputs^alpha / weights^beta; 1 where that is 0, and everywhere where one entry is no number.</summary>
    /// <param name="inputs">max over tokens of |X_tj| [n] float64.</param>
    /// <param name="weights">max over rows of |W_ij| [n] float64.</param>
    /// <param name="alpha">The exponent of inputs.</param>
    /// <param name="beta">The exponent of weights.</param>
    /// <returns>[n] float64; the caller owns it.</returns>
    public static Tensor Vector(Tensor inputs, Tensor weights, double alpha, double beta)
    {
        using var scope = NewDisposeScope();
        var smooth = inputs.pow(alpha) / weights.pow(beta);
        smooth = where(smooth == 0, ones_like(smooth), smooth);
        return (smooth.isfinite().all().item<bool>() ? smooth : ones_like(smooth)).MoveToOuterDisposeScope();
    }

    /// <summary>1/s as it is stored; an entry that leaves the range of its dtype, as a nearly silent input's does, becomes the nearest inside.</summary>
    /// <param name="smooth">s [n] float64.</param>
    /// <param name="dtype">What it is stored in.</param>
    /// <returns>[n] float64; the caller owns it.</returns>
    public static Tensor Reciprocal(Tensor smooth, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var (smallest, largest) = dtype == float16 ? (Math.ScaleB(1, -14), Math.ScaleB(1, 15)) : (Math.ScaleB(1, -126), Math.ScaleB(1, 127));
        return smooth.reciprocal().clamp(smallest, largest).to(dtype).to(float64).MoveToOuterDisposeScope();
    }
}
