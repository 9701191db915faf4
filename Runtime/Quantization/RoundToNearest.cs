using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Codes and scales of a uniform grid by rounding to nearest, half to even, decided in float64.</summary>
/// <param name="Codes">[rows, columns] int16.</param>
/// <param name="Scales">In the grid's scale shape, of the dtype asked for.</param>
/// <param name="Zeros">Zero points in the scales' shape, uint8; null for a symmetric grid.</param>
/// <remarks>
/// Symmetric: s = max|w| / (2^(b−1) − 1), codes from −2^(b−1). Asymmetric: s = (hi − lo) / (2^b − 1) over a range that includes 0, z = round(−lo / s).
/// A group of zeros has s = 1. Scales are rounded to their dtype before any code is computed with them. Tensors belong to the caller's dispose scope.
/// </remarks>
public sealed record RoundToNearest(Tensor Codes, Tensor Scales, Tensor? Zeros)
{
    /// <summary>Quantises a matrix.</summary>
    /// <param name="weight">[rows, columns], any real dtype.</param>
    /// <param name="grid">The grid's geometry, for this shape.</param>
    /// <param name="scaleType">The dtype of scales: float16 or float32 as a grid stores them; float64 for the exact method.</param>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity, or a scale does not fit its dtype.</exception>
    public static RoundToNearest Of(Tensor weight, GridGeometry grid, ScalarType scaleType)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(weight, "the weight");
        var (low, high) = Ranges(weight, grid);
        var range = grid.Signed ? maximum(-low, high) / grid.Highest : (high - low) / grid.Highest;
        var scales = range.to(scaleType);
        scales = where(scales == 0, ones_like(scales), scales);
        if (!scales.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"a scale of {range.max().item<double>():g3} does not fit {scaleType}; use 'scaleType: float32'");
        }

        var exact = scales.to(float64);
        var zeros = grid.Signed ? null : (-low / exact).round().clamp(grid.Lowest, grid.Highest);
        var codes = CodesOf(weight, grid, exact, zeros);
        return new(codes.MoveToOuterDisposeScope(), scales.MoveToOuterDisposeScope(), zeros?.to(uint8).MoveToOuterDisposeScope());
    }

    /// <summary>A matrix on the grid of a step; the caller owns the result.</summary>
    /// <param name="weight">[rows, columns], any real dtype.</param>
    /// <param name="step">Bits, groups and the dtype of scales.</param>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity, or a scale does not fit its dtype.</exception>
    public static Grid Store(Tensor weight, Quantize step)
    {
        using var scope = NewDisposeScope();
        var geometry = GridGeometry.For(step, weight.shape[0], weight.shape[1]);
        var rounded = Of(weight, geometry, step.ScaleType == ScaleType.Float16 ? float16 : float32);
        return Grid.Pack(geometry, rounded.Codes, rounded.Scales, rounded.Zeros);
    }

    private static (Tensor Low, Tensor High) Ranges(Tensor weight, GridGeometry grid)
    {
        var lows = new List<Tensor>();
        var highs = new List<Tensor>();
        foreach (var (first, count) in RowBlocks.Of(grid.Rows, grid.Columns))
        {
            using var scope = NewDisposeScope();
            var groups = Groups(weight.narrow(0, first, count), grid);
            lows.Add(groups.amin(-1).clamp_max(0).MoveToOuterDisposeScope());
            highs.Add(groups.amax(-1).clamp_min(0).MoveToOuterDisposeScope());
        }

        var (low, high) = (cat(lows, 0), cat(highs, 0));
        return grid.Granularity == Granularity.Tensor ? (low.amin([0], keepdim: true), high.amax([0], keepdim: true)) : (low, high);
    }

    private static Tensor CodesOf(Tensor weight, GridGeometry grid, Tensor scales, Tensor? zeros)
    {
        var codes = empty(grid.Rows, grid.Columns, dtype: int16);
        foreach (var (first, count) in RowBlocks.Of(grid.Rows, grid.Columns))
        {
            using var scope = NewDisposeScope();
            var steps = (Groups(weight.narrow(0, first, count), grid) / Lines(scales, first, count)).round();
            var shifted = zeros is null ? steps : steps + Lines(zeros, first, count);
            codes.narrow(0, first, count).copy_(shifted.clamp(grid.Lowest, grid.Highest).reshape(count, -1).narrow(1, 0, grid.Columns));
        }

        return codes;
    }

    /// <summary>Rows cut into groups [rows, groups, group length] float64; a shorter last group is filled up with zeros, which every range includes.</summary>
    private static Tensor Groups(Tensor rows, GridGeometry grid)
    {
        long length = grid.GroupLength;
        long missing = (length - grid.Columns % length) % length;
        return nn.functional.pad(rows.to(float64), [0, missing]).reshape(rows.shape[0], -1, length);
    }

    private static Tensor Lines(Tensor scales, long first, long count) =>
        (scales.shape[0] == 1 ? scales : scales.narrow(0, first, count)).unsqueeze(-1);
}
