using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>Submatrices of one aspect ratio whose pooled eigenvalues do not depend on the aspect ratio of the weight (FARMS, arXiv:2506.06280).</summary>
public sealed record SpectralWindows
{
    /// <summary>The kernel norm that every submatrix of a convolution is multiplied with the root of, in the official code.</summary>
    private const double ConvolutionNorm = 0.5;

    /// <summary>Rows of a window; capped at the smaller side of the weight.</summary>
    public int Rows { get; init; } = 2000;

    /// <summary>Columns over rows.</summary>
    public double AspectRatio { get; init; } = 1;

    /// <summary>Sliding positions along each axis, at least 2; null slides by <see cref="StepSize"/>.</summary>
    public int? PerDimension { get; init; } = 10;

    /// <summary>The stride where no number of positions is given.</summary>
    public int StepSize { get; init; } = 10;

    /// <summary>The positions of the windows in a weight of m × n, row-major: first row, first column; and their size.</summary>
    /// <remarks>Where int(rows · Q) exceeds n the window shrinks; the official code then starts at a negative column.</remarks>
    public (long Rows, long Columns, IReadOnlyList<(long Row, long Column)> Starts) Place(long m, long n)
    {
        long rows = Math.Min(Rows, Math.Min(m, n));
        long columns = (long)(rows * AspectRatio);
        if (columns > n)
        {
            rows = Math.Max(1, (long)(n / AspectRatio));
            columns = Math.Min(n, Math.Max(1, (long)(rows * AspectRatio)));
        }

        columns = Math.Max(1, columns);
        var down = Positions(m - rows);
        var across = Positions(n - columns);
        return (rows, columns, [.. down.SelectMany(row => across.Select(column => (row, column)))]);
    }

    /// <summary>The squared singular values of all windows of W [m, n], pooled, ascending.</summary>
    public double[] Eigenvalues(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var matrix = weight.detach().to(float64);
        var (rows, columns, starts) = Place(matrix.shape[0], matrix.shape[1]);
        return Pool(starts.Select(start => matrix.narrow(0, start.Row, rows).narrow(1, start.Column, columns)));
    }

    /// <summary>The pooled, ascending eigenvalues of a convolution's kernel [out, in, height, width], one array a row piece; exponents are averaged over the pieces.</summary>
    public IReadOnlyList<double[]> KernelEigenvalues(Tensor kernel)
    {
        using var scope = NewDisposeScope();
        var slices = kernel.detach().to(float64).reshape(kernel.shape[0], kernel.shape[1], -1) * Math.Sqrt(ConvolutionNorm);
        slices = slices.shape[0] >= slices.shape[1] ? slices : slices.transpose(0, 1);
        long n = slices.shape[1];
        long rows = AspectRatio <= 1 ? n : Math.Max(1, (long)(n / AspectRatio));
        long columns = AspectRatio <= 1 ? Math.Max(1, (long)(n * AspectRatio)) : n;
        long pieces = slices.shape[0] / rows;
        return [.. Enumerable.Range(0, (int)pieces).Select(piece => Pool(Enumerable.Range(0, (int)slices.shape[2])
            .Select(position => slices.select(2, position).narrow(0, piece * rows, rows).narrow(1, 0, columns))))];
    }

    private static double[] Pool(IEnumerable<Tensor> windows) => [.. windows.SelectMany(window =>
    {
        using var values = linalg.svdvals(window);
        return values.data<double>().ToArray().Select(value => value * value);
    }).Order()];

    /// <summary>Starts along one axis with so much room.</summary>
    private IEnumerable<long> Positions(long room)
    {
        if (PerDimension is < 2)
        {
            throw new InvalidOperationException($"{PerDimension} windows a dimension cannot slide; use at least 2");
        }

        long stride = PerDimension is { } count ? Math.Max(1, room / (count - 1)) : StepSize;
        long positions = Math.Min(PerDimension ?? long.MaxValue, Math.Max(1, (room / stride) + 1));
        for (long i = 0; i < positions; i++)
        {
            yield return Math.Min(i * stride, room);
        }
    }
}
