using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>One matrix under FlexRound: Ŵ = s₁ · clip(round(W / (s₁ · e^D))), D = D₂ + d₃ (+ d₄), with straight-through rounding (arXiv:2306.00317, eq. 2).</summary>
/// <remarks>
/// s₁ = initial scale · e^d₁, so that the start is exactly the initial grid. With <see cref="FlexRoundForm.Lrq"/>, D = L U + r + c (arXiv:2407.11534), where r is what d₃ is otherwise.
/// s₁ is rounded to its stored dtype, straight through, so that what is trained is what is stored. Zero points stay.
/// </remarks>
internal sealed class FlexRoundMatrix : ITrainableMatrix
{
    private readonly Tensor weight;
    private readonly GridGeometry geometry;
    private readonly FlexRoundGrid grid;
    private readonly Tensor initial;
    private readonly Tensor lowest;
    private readonly Tensor highest;
    private readonly long kernel;

    /// <summary>A matrix on its initial grid.</summary>
    /// <param name="weight">[rows, columns] float32 or float64, in which everything is computed; copied.</param>
    /// <param name="geometry">The grid's geometry.</param>
    /// <param name="grid">The initial grid, its scales in the dtype they are stored in; copied.</param>
    /// <param name="kernel">Values of a convolution's kernel, which share a divisor d₄ an input channel; 1 for none.</param>
    public FlexRoundMatrix(Tensor weight, GridGeometry geometry, FlexRoundGrid grid, long kernel = 1)
    {
        this.geometry = geometry;
        this.kernel = kernel;
        this.weight = weight.clone().DetachFromDisposeScope();
        this.grid = new(grid.Scales.clone().DetachFromDisposeScope(), grid.Zeros?.clone().DetachFromDisposeScope());
        initial = grid.Scales.to(weight.dtype, copy: true).DetachFromDisposeScope();
        var zero = (grid.Zeros ?? zeros(1, 1, dtype: float64)).to(weight.dtype);
        lowest = geometry.Spread(geometry.Lowest - zero).DetachFromDisposeScope();
        highest = geometry.Spread(geometry.Highest - zero).DetachFromDisposeScope();
        LogScale = Leaf(zeros_like(initial));
        LogRows = Leaf(zeros(geometry.Rows, 1, dtype: weight.dtype));
        LogColumns = kernel > 1 ? Leaf(zeros(1, geometry.Columns / kernel, dtype: weight.dtype)) : null;
        Divisors = [Leaf(zeros_like(weight))];
    }

    /// <summary>The matrix with divisors of low rank: L = 0, U uniform within ±1/√columns.</summary>
    public static FlexRoundMatrix LowRank(Tensor weight, GridGeometry geometry, FlexRoundGrid grid, long rank, Generator generator)
    {
        var result = new FlexRoundMatrix(weight, geometry, grid);
        result.Divisors[0].Dispose();
        double bound = 1 / Math.Sqrt(geometry.Columns);
        result.Divisors =
        [
            Leaf(zeros(geometry.Rows, rank, dtype: weight.dtype)),
            Leaf(((rand(rank, geometry.Columns, dtype: float64, generator: generator) * 2) - 1).mul_(bound).to(weight.dtype)),
        ];
        result.LogColumns = Leaf(zeros(1, geometry.Columns, dtype: weight.dtype));
        return result;
    }

    /// <summary>d₁: the logarithm of the scale over the initial one, in the grid's scale shape.</summary>
    public Tensor LogScale { get; }

    /// <summary>D₂ [rows, columns]; or L [rows, rank] and U [rank, columns].</summary>
    public Tensor[] Divisors { get; private set; }

    /// <summary>d₃ or r [rows, 1].</summary>
    public Tensor LogRows { get; }

    /// <summary>d₄ [1, input channels] of a convolution, c [1, columns] with low rank, or null.</summary>
    public Tensor? LogColumns { get; private set; }

    /// <summary>Everything that is trained.</summary>
    public IEnumerable<Tensor> Trained => LogColumns is null ? [LogScale, .. Divisors, LogRows] : [LogScale, .. Divisors, LogRows, LogColumns];

    /// <summary>Ŵ [rows, columns], differentiable; the current dispose scope owns it.</summary>
    public Tensor Soft()
    {
        var scale = geometry.Spread(Scale());
        return scale * Steps(scale);
    }

    Expression ITrainableMatrix.Harden() => Harden();

    /// <summary>The grid as it would be stored now; the caller owns it.</summary>
    public Grid Harden()
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var scales = Scale();
        var codes = Steps(geometry.Spread(scales));
        if (grid.Zeros is not null)
        {
            codes = codes + geometry.Spread(grid.Zeros);
        }

        // float64 scales, which only the exact method has, are stored in float32.
        var stored = scales.to(grid.Scales.dtype == float64 ? float32 : grid.Scales.dtype, copy: true);
        return Grid.Pack(geometry, codes.to(int16), stored.DetachFromDisposeScope(), grid.Zeros?.to(uint8).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in new[] { weight, grid.Scales, grid.Zeros, initial, lowest, highest })
        {
            tensor?.Dispose();
        }
    }

    private static Tensor Leaf(Tensor value) => value.detach().clone().requires_grad_(true).DetachFromDisposeScope();

    /// <summary>s₁ in its stored dtype's values; one that rounds to 0 stays as it is.</summary>
    private Tensor Scale()
    {
        var exact = initial * LogScale.exp();
        if (grid.Scales.dtype == exact.dtype)
        {
            return exact;
        }

        var stored = exact.detach().to(grid.Scales.dtype).to(exact.dtype);
        return exact + (where((stored == 0).logical_or(stored.isinf()), exact.detach(), stored) - exact.detach());
    }

    /// <summary>Whole numbers of steps from zero, within the grid; clipped ones pass no gradient.</summary>
    private Tensor Steps(Tensor scale)
    {
        var logarithm = (Divisors.Length == 1 ? Divisors[0] : Divisors[0].mm(Divisors[1])) + LogRows;
        if (LogColumns is not null)
        {
            logarithm = logarithm + LogColumns.repeat_interleave(kernel, 1);
        }

        var steps = weight / (scale * logarithm.exp());
        var rounded = steps + (steps.round() - steps).detach();
        return rounded.clamp(lowest, highest);
    }
}
