using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A layer with the name of its result.</summary>
/// <param name="unit">The layer.</param>
/// <param name="key">The content key of its result.</param>
internal class KeyedUnit(LayerUnit unit, string key)
{
    /// <summary>The layer.</summary>
    public LayerUnit Unit => unit;

    /// <summary>Its content key.</summary>
    public string Key => key;
}

/// <summary>A solved layer with the unit that led to it. One that the cache holds is in memory only once somebody asks for its numbers.</summary>
internal sealed class SolvedUnit : KeyedUnit, IDisposable
{
    private readonly Lock gate = new();
    private readonly StoredLayer? stored;
    private SolvedLayer? result;

    /// <summary>A result in memory.</summary>
    /// <param name="unit">The unit.</param>
    /// <param name="key">Its content key.</param>
    /// <param name="result">Its result, which now belongs to this object.</param>
    public SolvedUnit(LayerUnit unit, string key, SolvedLayer result)
        : base(unit, key) => this.result = result;

    /// <summary>A result in a file of the cache.</summary>
    /// <param name="unit">The unit.</param>
    /// <param name="key">Its content key.</param>
    /// <param name="stored">The file.</param>
    public SolvedUnit(LayerUnit unit, string key, StoredLayer stored)
        : base(unit, key) => this.stored = stored;

    /// <summary>Its result with all numbers, owned by this object; read now if it was not yet.</summary>
    public SolvedLayer Result
    {
        get
        {
            lock (gate)
            {
                return result ??= SolvedLayer.Read(stored!.Path);
            }
        }
    }

    /// <summary>What is known about it without its numbers.</summary>
    public SolvedSummary Summary => stored?.Summary ?? Result.Summary;

    /// <summary>Its tensors by their name below the layer's path, each loaded when it is written; they live as long as this object.</summary>
    public IEnumerable<PendingTensor> Tensors() => stored is not null ? stored.Tensors() : Result.Tensors().Select(leaf => PendingTensor.Of(leaf.Name, leaf.Tensor));

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            result?.Dispose();
        }
    }
}
