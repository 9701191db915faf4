using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Counts how often each row of a table is looked up: all that first and second moments of lookups need.</summary>
/// <param name="rows">Rows of the table.</param>
public sealed class AccessCounter(long rows) : IDisposable
{
    /// <summary>Lookups of each row [rows] float64; owned by the counter.</summary>
    public Tensor Counts { get; } = zeros(rows, dtype: float64).DetachFromDisposeScope();

    /// <summary>Adds lookups.</summary>
    /// <param name="ids">Row numbers, any shape, int64 or int32.</param>
    public void Add(Tensor ids)
    {
        using var scope = NewDisposeScope();
        Counts.add_(ids.detach().cpu().flatten().to(int64).bincount(null, rows));
    }

    /// <inheritdoc/>
    public void Dispose() => Counts.Dispose();
}
