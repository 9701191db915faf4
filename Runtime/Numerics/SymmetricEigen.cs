using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Eigenvalues and eigenvectors of symmetric matrices.</summary>
public static class SymmetricEigen
{
    /// <summary>Up to this side one thread is faster than several: they meet thousands of times, and waiting for each other costs more than they share (measured: up to 13 × at 216).</summary>
    private const long LargestSerialSide = 1536;

    /// <summary>Decomposes a symmetric matrix, largest values first; rounding errors of its symmetry are averaged out.</summary>
    /// <param name="matrix">[n, n] float64.</param>
    /// <returns>Values [n] descending and vectors [n, n] in columns with the entry of largest magnitude positive; the caller owns both.</returns>
    public static (Tensor Values, Tensor Vectors) Descending(Tensor matrix)
    {
        using var scope = NewDisposeScope();
        var (values, vectors) = Ascending((matrix + matrix.mT) / 2);
        var ordered = vectors.flip(1);
        return (values.flip(0).MoveToOuterDisposeScope(), (ordered * SignGauge.Of(ordered)).MoveToOuterDisposeScope());
    }

    /// <summary>Decomposes a matrix of which the lower triangle is read.</summary>
    /// <param name="matrix">[n, n] float32 or float64.</param>
    /// <returns>Values [n] ascending and vectors [n, n] in columns; the caller owns both.</returns>
    internal static (Tensor Values, Tensor Vectors) Ascending(Tensor matrix)
    {
        using var threads = Threads(matrix);
        return linalg.eigh(matrix);
    }

    /// <summary>The eigenvalues alone.</summary>
    /// <param name="matrix">[n, n] float32 or float64, of which the lower triangle is read.</param>
    /// <returns>[n] ascending; the caller owns it.</returns>
    internal static Tensor Values(Tensor matrix)
    {
        using var threads = Threads(matrix);
        return linalg.eigvalsh(matrix);
    }

    private static ThreadCount Threads(Tensor matrix) => new(matrix.shape[0] <= LargestSerialSide ? 1 : get_num_threads());
}
