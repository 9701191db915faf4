using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>
/// Row and column sums of the empirical Fisher information E[(∂L/∂W)²] (FWSVD, arXiv:2207.00112), one backward pass at a time in O(m + n) memory; on request its whole diagonal,
/// which takes as much as the weight.
/// </summary>
/// <param name="rows">m.</param>
/// <param name="columns">n.</param>
/// <param name="diagonal">Whether every entry is kept.</param>
public sealed class FisherAccumulator(long rows, long columns, bool diagonal = false) : IDisposable
{
    private readonly RunningTotal rowSums = new(float64, rows);
    private readonly RunningTotal columnSums = new(float64, columns);
    private readonly RunningTotal? squaresSum = diagonal ? new(float32, rows, columns) : null;

    /// <summary>Σ (∂L/∂W)² over backward passes [m, n] float32, owned by the accumulator; null unless asked for.</summary>
    /// <remarks>A sum and no mean: those who read it care for proportions only (SqueezeLLM, arXiv:2306.07629; LQ-LoRA, arXiv:2311.12023).</remarks>
    public Tensor? Diagonal => squaresSum?.Value;

    /// <summary>Number of gradients so far.</summary>
    public long Count { get; private set; }

    /// <summary>Adds the gradient of one backward pass. Its square is taken here, in float64: small gradients squared vanish in half precision.</summary>
    /// <param name="gradient">∂L/∂W [m, n], any floating dtype.</param>
    /// <exception cref="InvalidOperationException">It holds NaN or infinity.</exception>
    public void Add(Tensor gradient)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(gradient, "the gradient");
        var squares = gradient.detach().reshape(rows, columns).to(float64).square();
        rowSums.Add(squares.sum(1));
        columnSums.Add(squares.sum([0]));
        squaresSum?.Add(squares.to(float32));
        Count++;
    }

    /// <summary>Σ_j F_ij [m] float64; the caller owns it.</summary>
    /// <exception cref="InvalidOperationException">There are no gradients.</exception>
    public Tensor Rows() => Mean(rowSums.Value);

    /// <summary>Σ_i F_ij [n] float64; the caller owns it.</summary>
    /// <exception cref="InvalidOperationException">There are no gradients.</exception>
    public Tensor Columns() => Mean(columnSums.Value);

    /// <inheritdoc/>
    public void Dispose()
    {
        rowSums.Dispose();
        columnSums.Dispose();
        squaresSum?.Dispose();
    }

    private Tensor Mean(Tensor sums) => Count > 0 ? sums / Count : throw new InvalidOperationException("no gradient reached the layer");
}
