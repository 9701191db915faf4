using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>How singular vectors are computed.</summary>
public enum SvdRoute
{
    /// <summary>Thin SVD: every singular value is right to about 1e-15 of the largest.</summary>
    Exact,

    /// <summary>Eigenvectors of the smaller Gram matrix, at half the time: singular values below 1e-8 of the largest are noise, so only for leading slices.</summary>
    Gram,
}

/// <summary>The left singular vectors and the singular values of a matrix, in float64 and a fixed sign gauge.</summary>
/// <param name="Vectors">U [m, k], k = min(m, columns); in each column the entry of largest magnitude is positive.</param>
/// <param name="Values">The k singular values, descending.</param>
/// <remarks>The tensor belongs to the caller's dispose scope.</remarks>
public sealed record LeftSvd(Tensor Vectors, double[] Values)
{
    /// <summary>The smaller side up to which the exact route costs about a second or less.</summary>
    private const long LargestExactSide = 1024;

    /// <summary>The route for leading slices of a matrix: exact while that is cheap.</summary>
    public static SvdRoute RouteFor(long rows, long columns) => Math.Min(rows, columns) <= LargestExactSide ? SvdRoute.Exact : SvdRoute.Gram;

    /// <summary>Decomposes a matrix.</summary>
    /// <param name="matrix">[m, columns] float64.</param>
    /// <param name="route">The route.</param>
    public static LeftSvd Of(Tensor matrix, SvdRoute route)
    {
        using var scope = NewDisposeScope();
        var (vectors, values) = route == SvdRoute.Exact ? Thin(matrix) : ThroughGram(matrix);
        return new((vectors * SignGauge.Of(vectors)).MoveToOuterDisposeScope(), values.data<double>().ToArray());
    }

    private static (Tensor Vectors, Tensor Values) Thin(Tensor matrix)
    {
        var (u, s, _) = linalg.svd(matrix, fullMatrices: false);
        return (u, s);
    }

    private static (Tensor Vectors, Tensor Values) ThroughGram(Tensor matrix)
    {
        bool wide = matrix.shape[0] <= matrix.shape[1];
        var (squares, vectors) = SymmetricEigen.Descending(wide ? matrix.mm(matrix.mT) : matrix.mT.mm(matrix));

        // A V = U S. QR instead of a division by S keeps U orthonormal where S is tiny.
        var left = wide ? vectors : linalg.qr(matrix.mm(vectors)).Q;
        return (left, squares.clamp_min(0).sqrt());
    }
}
