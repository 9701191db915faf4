using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Decomposition;

/// <summary>One round of BitStack (arXiv:2410.23918, absolute value decomposition): the residual it starts from and the factors it takes out of it, not rounded.</summary>
/// <param name="Residual">R_i [m, n] float64.</param>
/// <param name="Factors">u_i = U_k √S_k and vt_i = √S_k V_kᵀ of |R_i|, or of R_i itself for a plain block.</param>
/// <param name="Spectrum">All singular values of |R_i| (or R_i), descending.</param>
/// <param name="Plain">Whether the block has no signs.</param>
/// <remarks>The tensors belong to the caller's dispose scope.</remarks>
public sealed record ResidualBlock(Tensor Residual, FactorPair Factors, double[] Spectrum, bool Plain)
{
    /// <summary>Q_i ⊙ (u_i vt_i) [m, n] float64, Q_i the signs of R_i with sign(0) = +1; the caller owns it.</summary>
    public Tensor Term()
    {
        using var scope = NewDisposeScope();
        var product = Factors.Multiply();
        return (Plain ? product : where(Residual < 0, -product, product)).MoveToOuterDisposeScope();
    }

    /// <summary>The block as it is stored, factors in float16.</summary>
    /// <returns>A product for a plain block, else a <see cref="SignLowRank"/>; the caller owns it.</returns>
    /// <exception cref="InvalidOperationException">A factor is beyond what float16 holds.</exception>
    public Expression Store()
    {
        var (u, vt) = Factors.To(float16);
        if (!(u.isfinite().all() & vt.isfinite().all()).item<bool>())
        {
            throw new InvalidOperationException("a block's factors are too large for float16; use 'scaleWeight: false', or fewer tokens a sample");
        }

        return Plain ? new Product(new Dense(u), new Dense(vt)) : SignLowRank.Pack(Residual, u, vt);
    }

    /// <summary>R_{i+1} = R_i − the term with unrounded factors [m, n] float64; the caller owns it.</summary>
    public Tensor Rest()
    {
        using var term = Term();
        return Residual - term;
    }

    /// <summary>One round.</summary>
    /// <param name="residual">R_i [m, n] float64, still the caller's.</param>
    /// <param name="rank">k, the singular triplets that are taken, at most min(m, n).</param>
    /// <param name="plain">Whether R_i itself is decomposed instead of its magnitudes.</param>
    public static ResidualBlock Of(Tensor residual, int rank, bool plain)
    {
        using var scope = NewDisposeScope();
        var target = plain ? residual : residual.abs();
        var projection = Projection.Of(target, target, LeftSvd.RouteFor(target.shape[0], target.shape[1]));
        return new(residual, projection.Factors(Slice.Top, rank).MoveToOuterDisposeScope(), projection.Spectrum, plain);
    }
}
