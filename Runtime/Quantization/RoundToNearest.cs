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
        var codes = empty(grid.Rows, grid.Columns, dtype: int16);
        var (scales, zeros) = Round(weight, grid, scaleType, (first, block) =>
        {
            using var place = codes.narrow(0, first, block.shape[0]);
            place.copy_(block);
        });
        return new(codes.MoveToOuterDisposeScope(), scales.MoveToOuterDisposeScope(), zeros?.MoveToOuterDisposeScope());
    }

    /// <summary>Hands over the codes block by block, and returns scales and zero points in the caller's scope.</summary>
    private static (Tensor Scales, Tensor? Zeros) Round(Tensor weight, GridGeometry grid, ScalarType scaleType, Action<long, Tensor> store)
    {
        using var scope = NewDisposeScope();
        var rows = new NearestRows(grid, scaleType);
        rows.Round(weight, store);
        if (!rows.IsFinite)
        {
            MatrixChecks.RequireFinite(weight, "the weight");
            throw new InvalidOperationException($"a scale of {rows.LargestScale:g3} does not fit {scaleType}; use 'scaleType: float32'");
        }

        var scales = tensor(rows.Scales).reshape(grid.ScaleShape).to(scaleType);
        var zeros = grid.Signed ? null : tensor(rows.Zeros).reshape(grid.ScaleShape).to(uint8);
        return (scales.MoveToOuterDisposeScope(), zeros?.MoveToOuterDisposeScope());
    }

    /// <summary>A matrix on the grid of a step; the caller owns the result.</summary>
    /// <param name="weight">[rows, columns], any real dtype.</param>
    /// <param name="step">Bits, groups and the dtype of scales.</param>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity, or a scale does not fit its dtype.</exception>
    public static Grid Store(Tensor weight, Quantize step)
    {
        using var scope = NewDisposeScope();
        var geometry = GridGeometry.For(step, weight.shape[0], weight.shape[1]);
        var packed = empty(geometry.Rows, geometry.RowBytes, dtype: uint8);
        var (scales, zeros) = Round(weight, geometry, Dtypes.Of(step.ScaleType), (first, codes) =>
        {
            using var block = BitPacking.PackRows(codes, geometry.Bits);
            using var place = packed.narrow(0, first, block.shape[0]);
            place.copy_(block);
        });
        return new(geometry, packed, new Dense(scales), zeros);
    }

    /// <summary>A matrix on an asymmetric grid a row with exact scales, which tables of as many bits are held against; the caller owns the result.</summary>
    /// <param name="weight">[rows, columns], any real dtype.</param>
    /// <param name="bits">Bits a code.</param>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity.</exception>
    public static Grid StoreRows(Tensor weight, int bits) => Store(weight, new Quantize { Bits = bits, Granularity = Granularity.Channel, Symmetric = false, ScaleType = ScaleType.Float32 });
}
