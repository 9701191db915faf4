using PipelineDsl.Runtime.Allocation;

namespace PipelineDsl.Runtime.Artifacts;

/// <summary>The sizes that a model can be loaded in: from one block a stacked layer, one more block each, to all.</summary>
/// <param name="Layers">The stacked layers.</param>
/// <param name="Order">Which of <paramref name="Layers"/> gets its next block, one entry for each block after the first ones.</param>
/// <param name="Bytes">Bytes of the whole model in each size, ascending: one more than there are entries in <paramref name="Order"/>.</param>
public sealed record ElasticRecord(IReadOnlyList<StackedLayer> Layers, IReadOnlyList<int> Order, IReadOnlyList<long> Bytes)
{
    /// <summary>The sizes of a model.</summary>
    /// <param name="layers">The stacked layers.</param>
    /// <param name="order">The order of the blocks after the first ones.</param>
    /// <param name="whole">Bytes of the whole model with all blocks.</param>
    public static ElasticRecord Of(IReadOnlyList<StackedLayer> layers, IReadOnlyList<int> order, long whole)
    {
        long bytes = whole - layers.Sum(layer => (layer.Blocks - 1) * layer.BytesPerBlock);
        var sizes = new List<long> { bytes };
        foreach (int layer in order)
        {
            bytes += layers[layer].BytesPerBlock;
            sizes.Add(bytes);
        }

        return new(layers, order, sizes);
    }

    /// <summary>The largest size within a budget, as an index into <see cref="Bytes"/>, or null when none is.</summary>
    /// <param name="budget">Bytes for the whole model.</param>
    public int? Within(long budget)
    {
        int fitting = Bytes.TakeWhile(bytes => bytes <= budget).Count();
        return fitting == 0 ? null : fitting - 1;
    }

    /// <summary>How many blocks each layer has in a size.</summary>
    /// <param name="size">An index into <see cref="Bytes"/>.</param>
    public int[] BlocksAt(int size)
    {
        int[] blocks = [.. Layers.Select(_ => 1)];
        foreach (int layer in Order.Take(size))
        {
            blocks[layer]++;
        }

        return blocks;
    }

    /// <summary>What does not fit the rest of a manifest, or null.</summary>
    internal string? FindProblem(Manifest manifest) =>
        Layers.Any(layer => layer.Blocks < 1 || layer.BytesPerBlock < 1) ? "a stack has no blocks"
        : Layers.Any(layer => manifest.Layers.Count(record => record.Path == layer.Path) != 1) ? "its table of sizes names a layer that it does not hold"
        : Order.Any(layer => layer < 0 || layer >= Layers.Count) || !BlocksAt(Order.Count).SequenceEqual(Layers.Select(layer => layer.Blocks)) ? "the order of its blocks is not complete"
        : !Bytes.SequenceEqual(Of(Layers, Order, manifest.Bytes.After).Bytes) ? "its table of sizes does not add up"
        : null;
}
