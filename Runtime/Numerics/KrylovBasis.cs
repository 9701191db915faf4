using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>An orthonormal basis of the block Krylov space of A = M Mᵀ, grown block by block (Musco and Musco, arXiv:1504.05477, algorithm 2).</summary>
/// <param name="matrix">M [m, n], float32 or float64.</param>
/// <param name="start">Random vectors [n, block].</param>
/// <remarks>Belongs to the dispose scope that it grows in.</remarks>
internal sealed class KrylovBasis(Tensor matrix, Tensor start)
{
    /// <summary>A K [m, q].</summary>
    private Tensor image = empty(0);

    /// <summary>K [m, q], orthonormal to the rounding of the matrix's dtype.</summary>
    public Tensor Vectors { get; private set; } = empty(0);

    /// <summary>q.</summary>
    public long Size => Vectors.numel() == 0 ? 0 : Vectors.shape[1];

    /// <summary>Adds a block: the range of M times the start first, then what A maps the last block to.</summary>
    public void Grow()
    {
        using var scope = NewDisposeScope();
        bool first = Size == 0;
        long width = start.shape[1];

        // What lies outside may be all but nothing, so its directions are made orthogonal to the basis once more.
        var block = first ? linalg.qr(matrix.mm(start)).Q : linalg.qr(Outside(linalg.qr(Outside(image.narrow(1, Size - width, width))).Q)).Q;
        var mapped = Apply(block);
        var (lastVectors, lastImage) = (Vectors, image);
        image = (first ? mapped : cat([image, mapped], 1)).MoveToOuterDisposeScope();
        Vectors = (first ? block : cat([Vectors, block], 1)).MoveToOuterDisposeScope();
        lastVectors.Dispose();
        lastImage.Dispose();
    }

    /// <summary>(I − K Kᵀ) x for x [m, …]; the caller owns it.</summary>
    public Tensor Outside(Tensor x) => x - Vectors.mm(Vectors.mT.mm(x));

    /// <summary>(I − K Kᵀ) A (I − K Kᵀ) x for x [m, s] outside the basis; the caller owns it.</summary>
    public Tensor ApplyOutside(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Outside(Apply(x)).MoveToOuterDisposeScope();
    }

    /// <summary>H = Kᵀ A K and E = Rᵀ R with R = A K − K H, both [q, q] float64; the caller owns them.</summary>
    public (Tensor Inside, Tensor Residual) Compress()
    {
        using var scope = NewDisposeScope();
        var inside = Vectors.mT.mm(image);
        var residual = image - Vectors.mm(inside);
        inside = ((inside + inside.mT) / 2).to(float64);
        return (inside.MoveToOuterDisposeScope(), residual.mT.mm(residual).to(float64).MoveToOuterDisposeScope());
    }

    /// <summary>A x. The first product is written as (xᵀ M)ᵀ, which reads M in the order of its memory.</summary>
    private Tensor Apply(Tensor x) => matrix.mm(x.mT.mm(matrix).mT);
}
