using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>A factor L of an input metric M = L Lᵀ: the oriented weight is W L. No inverse of it is ever needed.</summary>
public static class MetricFactor
{
    /// <summary>L of a Gram or covariance matrix: its Cholesky factor, or Q Λ^½ when it is not positive definite.</summary>
    /// <param name="gram">M [n, n] float64, symmetric, positive semi-definite up to rounding.</param>
    /// <returns>L [n, n]; the caller owns it.</returns>
    public static Tensor OfGram(Tensor gram)
    {
        using var scope = NewDisposeScope();
        var (cholesky, info) = linalg.cholesky_ex(gram, check_errors: false);
        if (info.item<int>() == 0)
        {
            return cholesky.MoveToOuterDisposeScope();
        }

        var (values, vectors) = SymmetricEigen.Descending(gram);
        return (vectors * values.clamp_min(0).sqrt()).MoveToOuterDisposeScope();
    }

    /// <summary>L of M = Xᵀ X without forming M, which halves the digits lost: Xᵀ itself, or Rᵀ of X = Q R when there are more samples than columns.</summary>
    /// <param name="samples">X [tokens, n] float64.</param>
    /// <returns>L [n, min(tokens, n)]; the caller owns it.</returns>
    public static Tensor OfSamples(Tensor samples)
    {
        using var scope = NewDisposeScope();
        bool few = samples.shape[0] <= samples.shape[1];
        return (few ? samples.mT.clone() : linalg.qr(samples).R.mT.clone()).MoveToOuterDisposeScope();
    }
}
