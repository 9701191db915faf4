using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Eigenvalues and eigenvectors of symmetric matrices, largest first.</summary>
public static class SymmetricEigen
{
    /// <summary>Decomposes a symmetric matrix; rounding errors of its symmetry are averaged out.</summary>
    /// <param name="matrix">[n, n] float64.</param>
    /// <returns>Values [n] descending and vectors [n, n] in columns with the entry of largest magnitude positive; the caller owns both.</returns>
    public static (Tensor Values, Tensor Vectors) Descending(Tensor matrix)
    {
        using var scope = NewDisposeScope();
        var (values, vectors) = linalg.eigh((matrix + matrix.mT) / 2);
        var ordered = vectors.flip(1);
        return (values.flip(0).MoveToOuterDisposeScope(), (ordered * SignGauge.Of(ordered)).MoveToOuterDisposeScope());
    }
}
