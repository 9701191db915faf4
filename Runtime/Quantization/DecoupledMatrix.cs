using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A matrix that is to be ŵ = s·q + z with integers q of few bits and one (s, z) a row or group; a row's error e costs e H eᵀ (decoupleQ, arXiv:2404.12759).</summary>
internal sealed class DecoupledMatrix
{
    /// <summary>Below this magnitude a scale is taken for zero: every code means the same.</summary>
    private const double SmallestScale = 1e-15;

    /// <summary>Poses the problem; its tensors belong to the caller's dispose scope.</summary>
    /// <param name="weight">W [m, n], finite.</param>
    /// <param name="metric">H [n, n] float64, damped: positive definite.</param>
    /// <param name="grid">Codes' range and groups; signed codes, one scale a row or group.</param>
    /// <param name="symmetric">Whether z stays 0.</param>
    public DecoupledMatrix(Tensor weight, Tensor metric, GridGeometry grid, bool symmetric)
    {
        MatrixChecks.RequireFinite(weight, "the weight");
        MatrixChecks.RequireFinite(metric, "the metric of the inputs");
        Weight = weight.to(float64);
        Metric = metric;
        Grid = grid;
        IsSymmetric = symmetric;
        Pull = Weight.mm(metric);
        Groups = grid.ScaleShape[1];
    }

    /// <summary>W [m, n] float64.</summary>
    public Tensor Weight { get; }

    /// <summary>H [n, n] float64.</summary>
    public Tensor Metric { get; }

    /// <summary>W H [m, n].</summary>
    public Tensor Pull { get; }

    /// <summary>The geometry of the codes.</summary>
    public GridGeometry Grid { get; }

    /// <summary>Whether z stays 0.</summary>
    public bool IsSymmetric { get; }

    /// <summary>Groups a row.</summary>
    public long Groups { get; }

    /// <summary>H + damping · mean(diag H) · I.</summary>
    public static Tensor Damp(Tensor metric, double damping) => metric + eye(metric.shape[0], dtype: float64) * (metric.diagonal().mean() * damping);

    /// <summary>Columns in the order of how strongly inputs use them, strongest first, or as they stand [n] int64.</summary>
    public Tensor Order(bool byStrength) => byStrength ? Metric.diagonal().sort(dim: 0, descending: true, stable: true).Indices : arange(Grid.Columns, dtype: int64);

    /// <summary>The smallest and largest value of each group, 0 included [m, groups]; a symmetric range is −max|w| to max|w|, and that of zeros makes 1 of the scale.</summary>
    public (Tensor Low, Tensor High) Ranges()
    {
        using var scope = NewDisposeScope();
        var groups = Grid.Cut(Weight);
        var low = groups.amin(-1).clamp_max(0);
        var high = groups.amax(-1).clamp_min(0);
        if (IsSymmetric)
        {
            high = maximum(-low, high);
            low = -high;
        }

        var empty = low.eq(high);
        return (low.masked_fill(empty, Grid.Lowest).MoveToOuterDisposeScope(), high.masked_fill(empty, Grid.Highest).MoveToOuterDisposeScope());
    }

    /// <summary>The grid that spans ranges: the lowest code is the low end, the highest the high end; a symmetric one reaches the high end with its highest code.</summary>
    public (Tensor Scales, Tensor Offsets) Spanning(Tensor low, Tensor high)
    {
        using var scope = NewDisposeScope();
        var scales = IsSymmetric ? high / Grid.Highest : (high - low) / (Grid.Highest - Grid.Lowest);
        var offsets = IsSymmetric ? zeros_like(scales) : low - scales * Grid.Lowest;
        return (scales.MoveToOuterDisposeScope(), offsets.MoveToOuterDisposeScope());
    }

    /// <summary>The nearest codes of values on a grid, half up; scales and offsets broadcast over them.</summary>
    public Tensor Nearest(Tensor values, Tensor scales, Tensor offsets)
    {
        using var scope = NewDisposeScope();
        var tiny = scales.abs() < SmallestScale;
        var steps = ((values - offsets) / scales.masked_fill(tiny, 1)).masked_fill_(tiny, 0);
        return steps.add_(0.5).floor_().clamp_(Grid.Lowest, Grid.Highest).MoveToOuterDisposeScope();
    }

    /// <summary>W rounded to the nearest codes of a grid [m, n] int16.</summary>
    public Tensor NearestCodes(Tensor scales, Tensor offsets) =>
        ByRows(Grid.Columns, (first, count) => Nearest(Weight.narrow(0, first, count), Spread(scales, first, count), Spread(offsets, first, count)).to(int16));

    /// <summary>Codes on a grid, with what each row costs; in float32, values are those that the stored grid will have.</summary>
    /// <param name="codes">[m, n] int16.</param>
    /// <param name="scales">[m, groups] float64 or float32.</param>
    /// <param name="offsets">As the scales.</param>
    public DecoupledRows Rate(Tensor codes, Tensor scales, Tensor offsets)
    {
        var losses = ByRows(Grid.Columns, (first, count) =>
        {
            var values = codes.narrow(0, first, count).to(scales.dtype) * Spread(scales, first, count) + Spread(offsets, first, count);
            var error = values.to(float64) - Weight.narrow(0, first, count);
            return (error.mm(Metric) * error).sum([1L]);
        });
        return new(codes, scales, offsets, losses);
    }

    /// <summary>Sums over each group of the last axis: [..., n] to [..., groups].</summary>
    public Tensor GroupSums(Tensor values)
    {
        using var scope = NewDisposeScope();
        return Grid.Cut(values).sum([-1L]).MoveToOuterDisposeScope();
    }

    /// <summary>One value a group for each column: rows of [m, groups] to [count, n].</summary>
    public Tensor Spread(Tensor perGroup, long first, long count)
    {
        using var scope = NewDisposeScope();
        return Grid.Spread(perGroup.narrow(0, first, count)).MoveToOuterDisposeScope();
    }

    /// <summary>A result a row, made in blocks of rows, so that a pass needs little memory beside it.</summary>
    /// <param name="valuesPerRow">How many values a row takes while it is worked on.</param>
    /// <param name="block">Makes the results of count rows from the first on.</param>
    public Tensor ByRows(long valuesPerRow, Func<long, long, Tensor> block)
    {
        using var scope = NewDisposeScope();
        var parts = new List<Tensor>();
        foreach (var (first, count) in RowBlocks.Of(Grid.Rows, valuesPerRow))
        {
            using var inner = NewDisposeScope();
            parts.Add(block(first, count).MoveToOuterDisposeScope());
        }

        return cat(parts, 0).MoveToOuterDisposeScope();
    }
}
