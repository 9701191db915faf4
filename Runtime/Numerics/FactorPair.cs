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
