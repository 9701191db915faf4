using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>A linear layer as two, W2 (W1 x + b1) + b2, whose output mimics its features (AFM, arXiv:2405.18146).</summary>
/// <param name="W1">Uᵀ W [h, n].</param>
/// <param name="B1">Uᵀ b [h].</param>
/// <param name="W2">U [m, h].</param>
/// <param name="B2">(I − U Uᵀ) μ [m].</param>
/// <remarks>Tensors are float64 and belong to the caller's dispose scope.</remarks>
public sealed record MimickedLayer(Tensor W1, Tensor B1, Tensor W2, Tensor B2)
{
    /// <summary>The layer that keeps the h directions of largest variance of its outputs, and their mean.</summary>
    /// <param name="weight">W [m, n] float64.</param>
    /// <param name="bias">b [m] float64.</param>
    /// <param name="outputs">Mean and covariance of W x + b, before any activation or normalisation.</param>
    /// <param name="rank">h, 0 to m; 0 leaves the mean alone.</param>
    public static MimickedLayer Of(Tensor weight, Tensor bias, Covariance outputs, int rank)
    {
        using var scope = NewDisposeScope();
        var basis = SymmetricEigen.Descending(outputs.Matrix).Vectors.narrow(1, 0, rank);
        var rest = outputs.Mean - basis.mv(basis.mT.mv(outputs.Mean));
        return new(
            basis.mT.mm(weight).MoveToOuterDisposeScope(),
            basis.mT.mv(bias).MoveToOuterDisposeScope(),
            basis.clone().MoveToOuterDisposeScope(),
            rest.MoveToOuterDisposeScope());
    }

    /// <summary>Outputs [..., m] of inputs [..., n]; the caller owns them.</summary>
    /// <param name="x">The inputs.</param>
    /// <param name="insertRelu">Puts a relu between the two layers: a start for fine-tuning, for it changes the function and depends on the signs of the basis.</param>
    public Tensor Forward(Tensor x, bool insertRelu = false)
    {
        using var scope = NewDisposeScope();
        var hidden = x.matmul(W1.mT) + B1;
        return ((insertRelu ? hidden.relu() : hidden).matmul(W2.mT) + B2).MoveToOuterDisposeScope();
    }

    /// <summary>The one layer W' = W2 W1, b' = W2 b1 + b2 with the same outputs, when no relu stands between; the caller owns both.</summary>
    public (Tensor Weight, Tensor Bias) Merge()
    {
        using var product = W2.mv(B1);
        return (W2.mm(W1), product + B2);
    }
}
