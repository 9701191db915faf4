namespace PipelineDsl.Runtime.Report;

/// <summary>Shares of what a compression lost, summed over blocks and over layers of one name.</summary>
internal sealed class LossOrigins
{
    private LossOrigins(bool isAllocated, IReadOnlyList<(ReportLayer Layer, double Loss)> losses)
    {
        IsAllocated = isAllocated;
        double sum = losses.Sum(item => item.Loss);
        double Share(IEnumerable<(ReportLayer Layer, double Loss)> items) => items.Sum(item => item.Loss) / sum;
        Layers = [.. losses.Select(item => (item.Layer, item.Loss / sum))];
        Blocks = [.. losses.GroupBy(item => item.Layer.Block.Length > 0 ? item.Layer.Block : item.Layer.Record.Path).Select(group => (group.Key, Share(group)))];
        Names = [.. losses.GroupBy(item => item.Layer.Name).Select(group => (group.Key, Share(group))).OrderByDescending(item => item.Item2)];
    }

    /// <summary>Whether it is what the layers cost in the measure of the allocation; else relative error times size.</summary>
    public bool IsAllocated { get; }

    /// <summary>The share of each layer, in order.</summary>
    public IReadOnlyList<(ReportLayer Layer, double Share)> Layers { get; }

    /// <summary>The share of each block, in the order of the model; a layer outside of any stands for itself.</summary>
    public IReadOnlyList<(string Name, double Share)> Blocks { get; }

    /// <summary>The share of all layers of one name, largest first.</summary>
    public IReadOnlyList<(string Name, double Share)> Names { get; }

    /// <summary>Where the loss comes from; null where nothing was lost.</summary>
    /// <param name="layers">The compressed layers.</param>
    /// <param name="allocation">How a budget was spent, or null. Its measure is taken where it covers every layer.</param>
    public static LossOrigins? Of(IReadOnlyList<ReportLayer> layers, Artifacts.AllocationRecord? allocation)
    {
        var costs = allocation?.Layers.Where(layer => layer.Distortion is >= 0 and < double.PositiveInfinity).ToDictionary(layer => layer.Path, layer => layer.Distortion!.Value) ?? [];
        bool allocated = layers.Count > 0 && layers.All(layer => costs.ContainsKey(layer.Record.Path)) && layers.Sum(layer => costs[layer.Record.Path]) > 0;
        (ReportLayer Layer, double Loss)[] losses = [.. layers.Select(layer => (layer, allocated ? costs[layer.Record.Path] : layer.Attention is > 0 and < double.PositiveInfinity ? layer.Attention : 0))];
        return losses.Sum(item => item.Loss) > 0 ? new(allocated, losses) : null;
    }
}
