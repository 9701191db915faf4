using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>One grid of <see cref="TunedGrids"/>: w = s · q + z with fixed q.</summary>
internal sealed class TunedGrid : IDisposable
{
    private readonly GridGeometry geometry;
    private readonly Tensor packed;
    private readonly Tensor codes;
    private readonly Tensor scales;
    private readonly Tensor? offsets;
    private readonly ScalarType scaleType;
    private readonly ScalarType offsetType;

    public TunedGrid(Grid grid)
    {
        if (grid.Scales is not Dense plain || grid.Levels is not null || grid.ZeroKind is ZeroKind.Code or ZeroKind.SharedOffset)
        {
            throw new ArgumentException("only plain scales and offsets in their shape can be tuned", nameof(grid));
        }

        geometry = grid.Geometry;
        packed = grid.Codes.clone().DetachFromDisposeScope();
        codes = BitPacking.UnpackRows(grid.Codes, geometry.Columns, geometry.Bits, geometry.Signed).to(float32).DetachFromDisposeScope();
        scaleType = plain.Matrix.dtype;
        scales = Leaf(plain.Matrix.to(float32));
        offsetType = grid.Zeros?.dtype ?? float32;
        offsets = grid.Zeros is null ? null : Leaf(grid.Zeros.to(float32));
    }

    /// <summary>Scales and, where there are some, offsets, float32.</summary>
    public IEnumerable<Tensor> Trained => offsets is null ? [scales] : [scales, offsets];

    /// <summary>A trained copy of a value.</summary>
    public static Tensor Leaf(Tensor value) => value.detach().clone().requires_grad_(true).DetachFromDisposeScope();

    /// <summary>The matrix [rows, columns] float32, differentiable; the current dispose scope owns it.</summary>
    public Tensor Soft()
    {
        var product = codes * geometry.Spread(Stored(scales, scaleType));
        return offsets is null ? product : product + geometry.Spread(Stored(offsets, offsetType));
    }

    /// <summary>The grid with the same bytes of codes; the caller owns it.</summary>
    public Grid Harden() => new(geometry, packed.clone(), new Dense(scales.detach().to(scaleType, copy: true)), offsets?.detach().to(offsetType, copy: true));

    /// <inheritdoc/>
    public void Dispose()
    {
        packed.Dispose();
        codes.Dispose();
    }

    private static Tensor Stored(Tensor value, ScalarType type) => type == value.dtype ? value : value + (value.to(type).to(value.dtype) - value).detach();
}
