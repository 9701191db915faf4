using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Sums over the vectors that flow into (or out of) a layer, in float64, batch by batch.</summary>
/// <param name="columns">n, the length of a vector.</param>
public sealed class InputAccumulator(long columns) : IDisposable
{
    private readonly RunningTotal sum = new(float64, columns);
    private readonly RunningTotal gram = new(float64, columns, columns);

    /// <summary>Number of vectors so far.</summary>
    public long Count { get; private set; }

    /// <summary>Σ x [n]; owned by the accumulator.</summary>
    public Tensor Sum => sum.Value;

    /// <summary>Σ x xᵀ [n, n]; owned by the accumulator.</summary>
    public Tensor Gram => gram.Value;

    /// <summary>Adds vectors.</summary>
    /// <param name="x">[…, n], any floating dtype; padding already masked out.</param>
    /// <exception cref="InvalidOperationException">They hold NaN or infinity.</exception>
    public void Add(Tensor x)
    {
        using var scope = NewDisposeScope();
        var vectors = x.detach().reshape(-1, columns).to(float64);
        MatrixChecks.RequireFinite(vectors, "the layer's input");
        sum.Add(vectors.sum([0]));
        gram.Add(vectors.mT.mm(vectors));
        Count += vectors.shape[0];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        sum.Dispose();
        gram.Dispose();
    }
}
