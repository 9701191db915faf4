using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>The span of a few channel directions in the residual stream, within which an activation can be moved without touching anything else (arXiv:2406.09519: three directions index the items of a list).</summary>
/// <param name="Basis">[D, k] float64 with orthonormal columns; it belongs to the caller's dispose scope.</param>
public sealed record ChannelSubspace(Tensor Basis)
{
    /// <summary>The span of directions.</summary>
    /// <param name="directions">[D, k], linearly independent columns, such as <see cref="Circuit.Writing"/> of the components of a channel.</param>
    /// <returns>Coordinates run along the directions made orthonormal in their order, signs kept.</returns>
    /// <exception cref="ArgumentException">The directions depend on each other.</exception>
    public static ChannelSubspace Of(Tensor directions)
    {
        using var scope = NewDisposeScope();
        var (q, r) = linalg.qr(directions.detach().to(float64));
        var diagonal = r.diagonal();
        if (r.shape[0] < r.shape[1] || (diagonal.abs() <= 1e-10 * r.norm()).any().item<bool>())
        {
            throw new ArgumentException("the directions depend linearly on each other", nameof(directions));
        }

        return new((q * diagonal.sign()).MoveToOuterDisposeScope());
    }

    /// <summary>Where residuals lie in the span.</summary>
    /// <param name="residual">[…, D], floating point.</param>
    /// <returns>[…, k] float64; the caller owns it.</returns>
    public Tensor Coordinates(Tensor residual)
    {
        using var scope = NewDisposeScope();
        return residual.to(float64).matmul(Basis).MoveToOuterDisposeScope();
    }

    /// <summary>Moves the residuals of chosen positions to given coordinates; what is orthogonal to the span stays.</summary>
    /// <param name="residual">[…, T, D], floating point.</param>
    /// <param name="positions">The positions along T.</param>
    /// <param name="coordinates">[k], or [positions, k].</param>
    /// <returns>In the dtype of the residual; the caller owns it.</returns>
    public Tensor Move(Tensor residual, IReadOnlyList<long> positions, Tensor coordinates)
    {
        using var scope = NewDisposeScope();
        using var index = tensor(positions.ToArray(), device: residual.device);
        var chosen = residual.index_select(-2, index).to(float64);
        var moved = chosen + (coordinates.to(float64) - chosen.matmul(Basis)).matmul(Basis.mT);
        return residual.index_copy(-2, index, moved.to(residual.dtype)).MoveToOuterDisposeScope();
    }
}
