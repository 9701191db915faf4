using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>How all singular vectors are computed.</summary>
public enum SvdRoute
{
    /// <summary>Thin SVD: every singular value is right to about 1e-15 of the largest.</summary>
    Exact,

    /// <summary>Eigenvectors of the smaller Gram matrix, at half the time: singular values below 1e-8 of the largest are noise, so only for leading slices.</summary>
    Gram,
}

/// <summary>The left singular vectors and the singular values of a matrix, in float64 and a fixed sign gauge.</summary>
/// <param name="Vectors">U [m, k], k = min(m, columns) or, of leading ones, the rank; in each column the entry of largest magnitude is positive.</param>
/// <param name="Values">The k singular values, descending.</param>
/// <param name="Tail">The sum of squares of the singular values that are not there; 0 when all are.</param>
/// <param name="CertifiedExcess">
/// How far the tail can lie above the smallest possible, as a share of that: an upper bound, or null where the vectors come from a complete decomposition.
/// </param>
/// <remarks>The tensor belongs to the caller's dispose scope.</remarks>
public sealed record LeftSvd(Tensor Vectors, double[] Values, double Tail = 0, double? CertifiedExcess = null)
{
    /// <summary>The smaller side up to which the exact route costs about a second or less.</summary>
    private const long LargestExactSide = 1024;

    /// <summary>The complete route from which leading slices are taken: exact while that is cheap.</summary>
    public static SvdRoute RouteFor(long rows, long columns) => Math.Min(rows, columns) <= LargestExactSide ? SvdRoute.Exact : SvdRoute.Gram;

    /// <summary>Whether the leading vectors are iterated for (<see cref="Leading"/>) instead of taken from a complete decomposition.</summary>
    /// <remarks>Measured on decaying and slow spectra: below these sides, or for a larger share of the vectors, the complete decomposition costs less.</remarks>
    public static bool IsIterated(long rows, long columns, int rank, SvdAccuracy accuracy)
    {
        long side = Math.Min(rows, columns);
        return accuracy == SvdAccuracy.Fast ? side >= 1024 && rank <= side / 16 : side >= 2048 && rank <= side / 32;
    }

    /// <summary>The most bytes that a complete decomposition takes at once: the matrix in float64, and on either route less than six of its size beside it.</summary>
    public static long CompleteBytes(long rows, long columns) => checked(7 * sizeof(double) * rows * columns);

    /// <summary>The most bytes that an iteration takes at once beside the matrix: basis, images and what joins them, in float64.</summary>
    public static long IterationBytes(long rows, long columns, int rank) => checked(5 * sizeof(double) * RandomisedSvd.LargestBasis(rank) * Math.Max(rows, columns));

    /// <summary>The leading vectors of a matrix, by the route that costs least.</summary>
    /// <remarks>
    /// A few of many vectors are iterated for until the loss is certified to be within the accuracy: 1 % or 1e-6 above the smallest possible. Where they are not few, or the
    /// spectrum falls too slowly for that, the complete decomposition has the loss right to rounding.
    /// </remarks>
    /// <param name="matrix">[m, columns] float64, or another real dtype where that is what is known of it.</param>
    /// <param name="rank">How many are needed.</param>
    /// <param name="accuracy">How good an iteration must be.</param>
    /// <param name="seed">The seed of the iteration's random start.</param>
    public static LeftSvd Leading(Tensor matrix, int rank, SvdAccuracy accuracy, long seed)
    {
        var (rows, columns) = (matrix.shape[0], matrix.shape[1]);
        if (IsIterated(rows, columns, rank, accuracy))
        {
            using var scope = NewDisposeScope();
            var found = RandomisedSvd.Of(matrix, rank, accuracy, seed);
            if (found.CertifiedExcess <= RandomisedSvd.Tolerance(accuracy))
            {
                return found with { Vectors = (found.Vectors * SignGauge.Of(found.Vectors)).MoveToOuterDisposeScope() };
            }
        }

        WorkingMemory.Require(CompleteBytes(rows, columns));
        return Of(matrix.to(float64), RouteFor(rows, columns));
    }

    /// <summary>Decomposes a matrix.</summary>
    /// <param name="matrix">[m, columns] float64.</param>
    /// <param name="route">The route.</param>
    public static LeftSvd Of(Tensor matrix, SvdRoute route)
    {
        using var scope = NewDisposeScope();
        var (vectors, values) = route == SvdRoute.Exact ? Thin(matrix) : ThroughGram(matrix);
        return new((vectors * SignGauge.Of(vectors)).MoveToOuterDisposeScope(), values.cpu().data<double>().ToArray());
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
