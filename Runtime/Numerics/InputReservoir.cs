using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>A uniform sample of the vectors that flow into a layer, of bounded size and the same for the same seed, however they are cut into batches.</summary>
/// <remarks>Each vector draws a number from the seed and its place in the stream; those with the smallest numbers stay (bottom-k sampling).</remarks>
/// <param name="columns">n, the length of a vector.</param>
/// <param name="seed">The seed of the numbers.</param>
/// <param name="capacity">The most vectors kept.</param>
public sealed class InputReservoir(long columns, long seed, int capacity = InputReservoir.DefaultCapacity) : IDisposable
{
    /// <summary>Vectors kept unless said otherwise: 16 MiB for a layer of 4096 inputs.</summary>
    public const int DefaultCapacity = 1024;

    private readonly Tensor rows = zeros(capacity, columns, dtype: float32).DetachFromDisposeScope();
    private readonly long[] places = new long[capacity];

    // The largest number kept is the first to leave.
    private readonly PriorityQueue<int, ulong> kept = new(Comparer<ulong>.Create((a, b) => b.CompareTo(a)));

    /// <summary>Number of vectors so far.</summary>
    public long Count { get; private set; }

    /// <summary>Offers vectors.</summary>
    /// <param name="x">[…, n], any floating dtype; padding already masked out.</param>
    /// <exception cref="InvalidOperationException">They hold NaN or infinity.</exception>
    public void Add(Tensor x)
    {
        using var scope = NewDisposeScope();
        var vectors = x.detach().reshape(-1, columns);
        MatrixChecks.RequireFinite(vectors, "the layer's input");
        var taken = new SortedDictionary<long, long>();
        for (long i = 0; i < vectors.shape[0]; i++)
        {
            if (SlotFor(Count + i) is { } slot)
            {
                taken[slot] = i;
                places[slot] = Count + i;
            }
        }

        Count += vectors.shape[0];
        if (taken.Count > 0)
        {
            var chosen = vectors.index_select(0, tensor(taken.Values.ToArray()).to(vectors.device));
            rows.index_copy_(0, tensor(taken.Keys.ToArray()), chosen.cpu().to(float32));
        }
    }

    /// <summary>The sample [min(count, capacity), n] float32 in the order its vectors came; the caller owns it.</summary>
    public Tensor Sample()
    {
        using var scope = NewDisposeScope();
        int[] slots = [.. Enumerable.Range(0, kept.Count).OrderBy(slot => places[slot])];
        return rows.index_select(0, tensor(Array.ConvertAll(slots, slot => (long)slot))).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => rows.Dispose();

    /// <summary>Where the vector goes, or null when it does not stay.</summary>
    private int? SlotFor(long place)
    {
        ulong number = SplitMix.Number((ulong)seed, place);
        if (kept.Count < capacity)
        {
            int free = kept.Count;
            kept.Enqueue(free, number);
            return free;
        }

        kept.TryPeek(out int slot, out ulong largest);
        if (number >= largest)
        {
            return null;
        }

        kept.DequeueEnqueue(slot, number);
        return slot;
    }
}
