using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The grid that FlexRound starts from (arXiv:2306.00317).</summary>
/// <param name="Scales">In the grid's scale shape, of the dtype asked for.</param>
/// <param name="Zeros">Zero points in the same shape, float64 whole numbers; null for a symmetric grid.</param>
/// <remarks>
/// Not symmetric: s = (max(hi, 0) − min(lo, 0)) / (2^b − 1), z = −round(min(lo, 0) / s). Symmetric: s = 2 max|w| / (2^b − 1), codes from −2^(b−1). A group of zeros has s = 1.
/// Tensors belong to the caller's dispose scope.
/// </remarks>
internal sealed record FlexRoundGrid(Tensor Scales, Tensor? Zeros)
{
    private const int Fractions = 100;
    private const double ErrorNorm = 2.4;

    /// <summary>The grid of a matrix.</summary>
    /// <param name="weight">[rows, columns], any real dtype.</param>
    /// <param name="geometry">The grid's geometry.</param>
    /// <param name="scaleType">The dtype of scales, to which they are rounded before zero points are computed.</param>
    /// <param name="search">Whether ranges are searched for.</param>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity, or a scale does not fit its dtype.</exception>
    public static FlexRoundGrid Of(Tensor weight, GridGeometry geometry, ScalarType scaleType, bool search)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(weight, "the weight");
        var groups = Groups(weight, geometry);
        var (low, high) = (groups.amin([-1], keepdim: true).clamp_max(0), groups.amax([-1], keepdim: true).clamp_min(0));
        double steps = Math.Pow(2, geometry.Bits) - 1;
        var range = geometry.Signed ? 2 * maximum(-low, high) : high - low;
        var exact = where(range == 0, ones_like(range), range / steps);
        Tensor? offsets = null;
        if (search)
        {
            (exact, offsets) = Search(groups, exact, geometry);
        }

        var scales = exact.to(scaleType);
        scales = where(scales == 0, ones_like(scales), scales);
        if (!scales.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"a scale of {exact.max().item<double>():g3} does not fit {scaleType}; use 'scaleType: float32'");
        }

        var points = geometry.Signed ? null : (offsets ?? -(low / scales.to(float64)).round()).clamp(0, steps);
        return new(scales.reshape(geometry.ScaleShape).MoveToOuterDisposeScope(), points?.reshape(geometry.ScaleShape).MoveToOuterDisposeScope());
    }

    /// <summary>Keeps, group by group, the shrunken range (and zero point) whose rounding errors are smallest; of equal ones the first. The official code scores a symmetric candidate with another one's scale.</summary>
    private static (Tensor Scales, Tensor? Zeros) Search(Tensor groups, Tensor full, GridGeometry geometry)
    {
        var best = full_like(full, double.PositiveInfinity);
        var scales = full.clone();
        var zeros = zeros_like(full);
        for (int fraction = 1; fraction <= Fractions; fraction++)
        {
            for (int zero = 0; zero <= (geometry.Signed ? 0 : geometry.Highest); zero++)
            {
                using var scope = NewDisposeScope();
                var scale = full * ((double)fraction / Fractions);
                var rounded = (groups / scale).round().clamp(geometry.Lowest - zero, geometry.Highest - zero) * scale;
                var error = (groups - rounded).abs().pow(ErrorNorm).mean([-1], keepdim: true);
                var better = error < best;
                best.copy_(where(better, error, best));
                scales.copy_(where(better, scale, scales));
                zeros.copy_(where(better, full_like(zeros, zero), zeros));
            }
        }

        return (scales, geometry.Signed ? null : zeros);
    }

    /// <summary>What shares a scale along the last axis, in float64; a shorter last group is filled up with zeros, which every range includes.</summary>
    private static Tensor Groups(Tensor weight, GridGeometry geometry)
    {
        var wide = weight.to(float64);
        return geometry.Granularity == Granularity.Tensor ? wide.reshape(1, 1, -1) : geometry.Cut(wide);
    }
}
