namespace PipelineDsl.Runtime.Analysis;

/// <summary>Turns the layers' heavy-tail exponents into pruning ratios and learning rates: what is less trained is pruned more and learns faster.</summary>
public static class ExponentMaps
{
    /// <summary>The ratio of each layer's weights to remove (AlphaPruning, arXiv:2410.10912): linear in alpha around the target.</summary>
    /// <param name="alphas">The layers' exponents.</param>
    /// <param name="counts">The layers' numbers of weights.</param>
    /// <param name="sparsity">The share of all weights to remove, 0 to <paramref name="maxRatio"/>.</param>
    /// <param name="epsilon">Half the width of the range of ratios before rescaling, relative to the target; 0 is uniform.</param>
    /// <param name="maxRatio">The largest ratio of a layer. The deficit of layers cut off here goes to the others; the official code loses it.</param>
    public static double[] Ratios(IReadOnlyList<double> alphas, IReadOnlyList<long> counts, double sparsity, double epsilon, double maxRatio = 1)
    {
        if (sparsity < 0 || sparsity > maxRatio || epsilon is < 0 or > 1)
        {
            throw new ArgumentException($"a sparsity of {sparsity} (0 to {maxRatio}) with epsilon {epsilon} (0 to 1) cannot be met");
        }

        double[] weights = [.. Unit(alphas).Select(unit => (unit * 2 * epsilon) + 1 - epsilon)];
        double[] ratios = new double[alphas.Count];
        var open = Enumerable.Range(0, alphas.Count).ToHashSet();
        double target = sparsity * counts.Sum();
        while (open.Count > 0)
        {
            double scale = target / open.Sum(layer => counts[layer] * weights[layer]);
            int[] exceeding = [.. open.Where(layer => !(scale * weights[layer] <= maxRatio))];
            foreach (int layer in exceeding.Length > 0 ? exceeding : [.. open])
            {
                ratios[layer] = exceeding.Length > 0 ? maxRatio : scale * weights[layer];
                target -= ratios[layer] * counts[layer];
                open.Remove(layer);
            }
        }

        return ratios;
    }

    /// <summary>The mean exponent of each block, given to each of its layers.</summary>
    /// <param name="alphas">The layers' exponents.</param>
    /// <param name="blocks">The block of each layer.</param>
    public static double[] BlockMeans<TBlock>(IReadOnlyList<double> alphas, IReadOnlyList<TBlock> blocks)
        where TBlock : notnull
    {
        var means = alphas.Zip(blocks).GroupBy(layer => layer.Second).ToDictionary(block => block.Key, block => block.Average(layer => layer.First));
        return [.. blocks.Select(block => means[block])];
    }

    /// <summary>The learning rate of each layer (TempBalance): linear in alpha between two shares of the base rate.</summary>
    public static double[] LearningRates(IReadOnlyList<double> alphas, double baseRate, double minRatio = 0.5, double maxRatio = 1.5) =>
        [.. Unit(alphas).Select(unit => baseRate * (minRatio + (unit * (maxRatio - minRatio))))];

    /// <summary>The exponents moved to 0 … 1; equal ones to the middle, so that equal layers are treated as the target says.</summary>
    private static IEnumerable<double> Unit(IReadOnlyList<double> alphas)
    {
        double low = alphas.Min();
        double range = alphas.Max() - low;
        return alphas.Select(alpha => range > 0 ? (alpha - low) / range : 0.5);
    }
}
