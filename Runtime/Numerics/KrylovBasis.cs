using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>An orthonormal basis of the block Krylov space of A = M Mᵀ, grown block by block (Musco and Musco, arXiv:1504.05477, algorithm 2).</summary>
/// <param name="matrix">M [m, n].</param>
/// <param name="start">Random vectors [n, block].</param>
/// <param name="probes">Random vectors Ω [m, s] of their own, to tell what the basis leaves out; A Ω comes with the first block, for the cost of a few columns more.</param>
/// <remarks>Belongs to the dispose scope that it grows in.</remarks>
internal sealed class KrylovBasis(Operand matrix, Tensor start, Tensor probes)
{
    /// <summary>A K [m, q].</summary>
    private Tensor image = empty(0);

    /// <summary>(I − K Kᵀ) A K for the last block of K [m, block]; for the blocks before it is 0, since K holds what A maps them to.</summary>
    private Tensor residual = empty(0);

    /// <summary>A Ω [m, s].</summary>
    private Tensor probed = empty(0);

    /// <summary>K [m, q], orthonormal to the rounding of the matrix's dtype.</summary>
    public Tensor Vectors { get; private set; } = empty(0);

    /// <summary>Mᵀ K [n, q].</summary>
    public Tensor Opposite { get; private set; } = empty(0);

    /// <summary>q.</summary>
    public long Size => Vectors.numel() == 0 ? 0 : Vectors.shape[1];

    /// <summary>Adds a block: the range of M times the start first, then what A maps the last block to.</summary>
    public void Grow()
    {
        using var scope = NewDisposeScope();
        bool first = Size == 0;
        long width = start.shape[1];

        // What lies outside may be all but nothing, so its directions are made orthogonal to the basis once more.
        var block = first ? Orthonormal(matrix.Times(start)) : Orthonormal(Outside(Orthonormal(residual)));

        // Xᵀ M and not Mᵀ X: the product and what it leaves for the next one then lie as the kernels read them fastest.
        var opposite = matrix.TimesFromLeft(first ? cat([block.mT, probes.mT], 0) : block.mT).mT;
        var mapped = matrix.Times(opposite);
        if (first)
        {
            probed = mapped.narrow(1, width, probes.shape[1]).clone().MoveToOuterDisposeScope();
        }

        image = Append(image, mapped.narrow(1, 0, width));
        Opposite = Append(Opposite, opposite.narrow(1, 0, width));
        Vectors = Append(Vectors, block);
        residual.Dispose();
        residual = Outside(mapped.narrow(1, 0, width)).MoveToOuterDisposeScope();
    }

    /// <summary>(I − K Kᵀ) x for x [m, …]; the caller owns it.</summary>
    public Tensor Outside(Tensor x) => x - Vectors.mm(Vectors.mT.mm(x));

    /// <summary>(I − K Kᵀ) A (I − K Kᵀ) x for x [m, s] outside the basis; the caller owns it.</summary>
    public Tensor ApplyOutside(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Outside(matrix.Times(matrix.TimesFromLeft(x.mT).mT)).MoveToOuterDisposeScope();
    }

    /// <summary>(I − K Kᵀ) A (I − K Kᵀ) Ω [m, s]; the caller owns it.</summary>
    public Tensor ProbeOutside()
    {
        using var scope = NewDisposeScope();
        return Outside(probed - image.mm(Vectors.mT.mm(probes))).MoveToOuterDisposeScope();
    }

    /// <summary>H = Kᵀ A K and E = Rᵀ R with R = A K − K H, both [q, q] float64; the caller owns them.</summary>
    public (Tensor Inside, Tensor Residual) Compress()
    {
        using var scope = NewDisposeScope();
        var inside = Vectors.mT.mm(image);
        inside = ((inside + inside.mT) / 2).to(float64);
        long before = Size - start.shape[1];
        var squares = nn.functional.pad(residual.mT.mm(residual).to(float64), [before, 0, before, 0]);
        return (inside.MoveToOuterDisposeScope(), squares.MoveToOuterDisposeScope());
    }

    /// <summary>An orthonormal basis of the columns of x [m, block], on one thread: so few columns are not worth a second one's waiting.</summary>
    private static Tensor Orthonormal(Tensor x)
    {
        using var thread = new ThreadCount(1);
        return linalg.qr(x).Q;
    }

    /// <summary>Columns followed by more columns, kept when the current dispose scope ends.</summary>
    private static Tensor Append(Tensor columns, Tensor more)
    {
        var joined = columns.numel() == 0 ? more.clone() : cat([columns, more], 1);
        columns.Dispose();
        return joined.MoveToOuterDisposeScope();
    }
}
