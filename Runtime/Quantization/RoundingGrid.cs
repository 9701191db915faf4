using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Scales and zero points that <see cref="GptqRounding"/> rounds with: value = scale · (code − zero), codes from 0.</summary>
/// <remarks>Asymmetric: the range of the group with 0 in it, zero = round(−lo / s). Symmetric: ± the largest magnitude over 2^b − 1 steps, zero = 2^(b−1).</remarks>
internal static class RoundingGrid
{
    private const int Shrinks = 80;
    private const double ShrinkStep = 0.01;
    private const double Norm = 2.4;

    /// <summary>The grid of groups of values.</summary>
    /// <param name="groups">[rows, groups, length] float64; shorter groups are filled up with zeros, which every range includes.</param>
    /// <param name="settings">Bits, symmetry, dtype of scales.</param>
    /// <returns>Scales and zero points [rows, groups] float64, the scales rounded to their dtype; in the caller's dispose scope.</returns>
    /// <exception cref="InvalidOperationException">A scale does not fit its dtype.</exception>
    public static (Tensor Scales, Tensor Zeros) Of(Tensor groups, GptqSettings settings)
    {
        using var scope = NewDisposeScope();
        var low = groups.amin(-1).clamp_max(0);
        var high = groups.amax(-1).clamp_min(0);
        if (settings.Grid.Granularity == Granularity.Tensor)
        {
            (low, high) = (low.min().expand_as(low), high.max().expand_as(high));
        }

        var (scales, zeros) = Grid(low, high, settings);
        if (settings.SearchRange)
        {
            (scales, zeros) = Search(groups, low, high, settings);
        }

        return scales.isfinite().all().item<bool>()
            ? (scales.MoveToOuterDisposeScope(), zeros.MoveToOuterDisposeScope())
            : throw new InvalidOperationException($"a scale does not fit {settings.ScaleType}; use 'scaleType: float32'");
    }

    private static (Tensor Scales, Tensor Zeros) Grid(Tensor low, Tensor high, GptqSettings settings)
    {
        bool symmetric = settings.Grid.Signed;
        var range = symmetric ? maximum(-low, high) * 2 : high - low;
        var scales = (range / settings.Steps).to(settings.ScaleType).to(float64);
        scales = where(scales == 0, ones_like(scales), scales);
        return (scales, symmetric ? full_like(scales, 1 << (settings.Grid.Bits - 1)) : (-low / scales).round().clamp(0, settings.Steps));
    }

    /// <summary>The first best of ranges shrunk by hundredths.</summary>
    private static (Tensor Scales, Tensor Zeros) Search(Tensor groups, Tensor low, Tensor high, GptqSettings settings)
    {
        var best = full_like(low, double.PositiveInfinity);
        var (bestScales, bestZeros) = Grid(low, high, settings);
        for (int i = 0; i < Shrinks; i++)
        {
            double share = 1 - i * ShrinkStep;
            var (scales, zeros) = Grid(low * share, high * share, settings);
            var (s, z) = (scales.unsqueeze(-1), zeros.unsqueeze(-1));
            var error = (((groups / s).round() + z).clamp(0, settings.Steps) - z).mul(s).sub(groups).abs().pow(Norm).sum(-1);
            error = settings.Grid.Granularity == Granularity.Tensor ? error.sum().expand_as(error) : error;
            var better = error < best;
            best = where(better, error, best);
            (bestScales, bestZeros) = (where(better, scales, bestScales), where(better, zeros, bestZeros));
        }

        return (bestScales, bestZeros);
    }
}
