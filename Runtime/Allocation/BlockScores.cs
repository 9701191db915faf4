namespace PipelineDsl.Runtime.Allocation;

/// <summary>How good a model is with one more block in one layer, and the order of blocks that follows (BitStack, arXiv:2410.23918).</summary>
/// <remarks>Scores are losses or perplexities: less is better. An order names the layer of each block after the first ones.</remarks>
public sealed class BlockScores
{
    private readonly IReadOnlyList<StackedLayer> layers;
    private readonly double[][] scores;

    /// <summary>Scores with missing ones repaired.</summary>
    /// <param name="layers">The layers.</param>
    /// <param name="scores">
    /// Row b − 1 holds, for each layer with more than b blocks, the score with b + 1 blocks in it and b in all others (all of their blocks in those
    /// that have fewer). NaN is repaired from the highest level down: the layer's score one level up, plus the largest of its own level, or 0 when that is NaN throughout.
    /// </param>
    /// <exception cref="InvalidOperationException">A layer with all its blocks scores NaN.</exception>
    public BlockScores(IReadOnlyList<StackedLayer> layers, IReadOnlyList<IReadOnlyList<double>> scores)
    {
        this.layers = layers;
        this.scores = [.. scores.Select(level => level.ToArray())];
        for (int level = scores.Count; level >= 1; level--)
        {
            Repair(level);
        }
    }

    /// <summary>All second blocks before any third; within a level the best score first, ties in the order of layers.</summary>
    public IReadOnlyList<int> ByScore() => LevelByLevel((level, layer) => scores[level - 1][layer]);

    /// <summary>All second blocks before any third; within a level what lowers the score most for its bytes first, ties in the order of layers.</summary>
    /// <param name="baselines">Entry b − 1 is the score with b blocks in all layers; NaN counts as the worst score of its level.</param>
    /// <remarks>Levels stay apart because a gain is only comparable with others that were measured beside the same blocks.</remarks>
    public IReadOnlyList<int> ByGainPerByte(IReadOnlyList<double> baselines) => LevelByLevel((level, layer) =>
    {
        double baseline = double.IsNaN(baselines[level - 1]) ? Worst(level) : baselines[level - 1];
        return (scores[level - 1][layer] - baseline) / layers[layer].BytesPerBlock;
    });

    private List<int> LevelByLevel(Func<int, int, double> cost) =>
        [.. Enumerable.Range(1, scores.Length).SelectMany(level => LayersAbove(level).OrderBy(layer => cost(level, layer)))];

    private IEnumerable<int> LayersAbove(int level) => Enumerable.Range(0, layers.Count).Where(layer => layers[layer].Blocks > level);

    private double Worst(int level) => LayersAbove(level).Select(layer => scores[level - 1][layer]).Where(score => !double.IsNaN(score)).DefaultIfEmpty(0).Max();

    private void Repair(int level)
    {
        double worst = Worst(level);
        foreach (int layer in LayersAbove(level).Where(layer => double.IsNaN(scores[level - 1][layer])))
        {
            scores[level - 1][layer] = layers[layer].Blocks > level + 1
                ? scores[level][layer] + worst
                : throw new InvalidOperationException($"the model computes no number with all {layers[layer].Blocks} blocks in '{layers[layer].Path}'");
        }
    }
}
