using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Two thin factors of a matrix, W' = B A.</summary>
/// <param name="B">[m, r].</param>
/// <param name="A">[r, n].</param>
/// <remarks>The tensors belong to the caller's dispose scope.</remarks>
public sealed record FactorPair(Tensor B, Tensor A)
{
    /// <summary>B A [m, n]; the caller owns it.</summary>
    public Tensor Multiply() => B.mm(A);

    /// <summary>The singular value decomposition of B A without the product, in float64: U [m, k], S [k] and V [n, k] with k = min(r, m, n), the largest entry of each column of U positive.</summary>
    /// <returns>In the caller's dispose scope.</returns>
    public (Tensor U, Tensor S, Tensor V) SingularComponents()
    {
        using var scope = NewDisposeScope();
        var (left, leftCore) = linalg.qr(B.to(float64));
        var (right, rightCore) = linalg.qr(A.to(float64).mT);
        var (u, s, vt) = linalg.svd(leftCore.mm(rightCore.mT), fullMatrices: false);
        var leading = left.mm(u);
        var signs = SignGauge.Of(leading);
        return ((leading * signs).MoveToOuterDisposeScope(), s.MoveToOuterDisposeScope(), (right.mm(vt.mT) * signs).MoveToOuterDisposeScope());
    }

    /// <summary>The same product with ‖b_i‖ = ‖a_i‖ for each direction, whatever the units of the metric: factors that store and quantise well.</summary>
    /// <remarks>For the truncated SVD both factors then carry √S.</remarks>
    public FactorPair Balance()
    {
        using var scope = NewDisposeScope();
        var left = B.square().sum([0]).sqrt();
        var right = A.square().sum(1).sqrt();
        var scale = where((left > 0) & (right > 0), (right / left).sqrt(), 1.0);
        return new FactorPair(B * scale, A / scale.unsqueeze(1)).MoveToOuterDisposeScope();
    }

    /// <summary>Both factors in another dtype.</summary>
    public FactorPair To(ScalarType dtype) => new(B.to(dtype, copy: true), A.to(dtype, copy: true));

    /// <summary>Keeps both tensors when the current dispose scope ends.</summary>
    public FactorPair MoveToOuterDisposeScope()
    {
        B.MoveToOuterDisposeScope();
        A.MoveToOuterDisposeScope();
        return this;
    }
}
