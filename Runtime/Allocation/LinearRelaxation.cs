namespace PipelineDsl.Runtime.Allocation;

/// <summary>The knapsack where options may be mixed: a lower bound, the multiplier that proves it, and a feasible choice near it.</summary>
/// <param name="LowerBound">max over t ≥ 0 of Σ min_d (D + t C) − t B.</param>
/// <param name="Multiplier">The t that attains it: distortion a unit of cost at the margin.</param>
/// <param name="Greedy">The options of a greedy choice within the budget.</param>
/// <param name="CheapestAfter">For each layer the cost of the smallest options of all later layers.</param>
internal sealed record LinearRelaxation(double LowerBound, double Multiplier, int[] Greedy, long[] CheapestAfter)
{
    /// <summary>Solves it by taking steps along each layer's lower convex hull, steepest first.</summary>
    public static LinearRelaxation Of(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, long budget)
    {
        var hulls = layers.Select(Hull).ToList();
        int[] at = new int[layers.Count];
        long left = budget - hulls.Sum(hull => hull[0].Cost);
        double distortion = hulls.Sum(hull => hull[0].Distortion);
        double? bound = null;
        double multiplier = 0;
        foreach (var (layer, step, slope) in Steps(hulls))
        {
            var (from, to) = (hulls[layer][step - 1], hulls[layer][step]);
            if (at[layer] == step - 1 && to.Cost - from.Cost <= left)
            {
                left -= to.Cost - from.Cost;
                distortion += to.Distortion - from.Distortion;
                at[layer] = step;
            }
            else if (bound is null)
            {
                bound = distortion + (slope * left);
                multiplier = -slope;
            }
        }

        int[] taken = [.. at.Select((step, layer) => hulls[layer][step].Index)];
        SpendRest(layers, taken, left);
        return new(bound ?? distortion, multiplier, taken, Cheapest(layers));
    }

    /// <summary>The sums that are least for their costs as far as steps along the hulls reach them, from the smallest cost on; each is attainable.</summary>
    public static IReadOnlyList<AllocationOption> Frontier(IReadOnlyList<IReadOnlyList<AllocationOption>> layers)
    {
        var hulls = layers.Select(Hull).ToList();
        var sums = new List<AllocationOption> { new(hulls.Sum(hull => hull[0].Cost), hulls.Sum(hull => hull[0].Distortion)) };
        foreach (var (layer, step, _) in Steps(hulls))
        {
            var (from, to) = (hulls[layer][step - 1], hulls[layer][step]);
            sums.Add(new(sums[^1].Cost + to.Cost - from.Cost, sums[^1].Distortion + to.Distortion - from.Distortion));
        }

        return sums;
    }

    /// <summary>For each layer, the least that all later layers add to D + t C.</summary>
    public double[] After(IReadOnlyList<IReadOnlyList<AllocationOption>> layers)
    {
        double[] after = new double[layers.Count];
        for (int layer = layers.Count - 2; layer >= 0; layer--)
        {
            after[layer] = after[layer + 1] + layers[layer + 1].Min(option => option.Distortion + (Multiplier * option.Cost));
        }

        return after;
    }

    private static long[] Cheapest(IReadOnlyList<IReadOnlyList<AllocationOption>> layers)
    {
        long[] cheapest = new long[layers.Count];
        for (int layer = layers.Count - 2; layer >= 0; layer--)
        {
            cheapest[layer] = cheapest[layer + 1] + layers[layer + 1].Min(option => option.Cost);
        }

        return cheapest;
    }

    private static List<(int Layer, int Step, double Slope)> Steps(List<List<Corner>> hulls) =>
        [.. hulls.SelectMany((hull, layer) => Enumerable.Range(1, hull.Count - 1).Select(step => (Layer: layer, Step: step, Slope: Slope(hull[step - 1], hull[step]))))
            .OrderBy(step => step.Slope)];

    /// <summary>Gives what is left of the budget to the layer that gains most by it, until none gains.</summary>
    private static void SpendRest(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, int[] taken, long left)
    {
        while (true)
        {
            var best = layers.SelectMany((options, layer) => options.Select((option, index) => (
                    Layer: layer,
                    Index: index,
                    Cost: option.Cost - options[taken[layer]].Cost,
                    Gain: options[taken[layer]].Distortion - option.Distortion)))
                .Where(move => move.Cost <= left)
                .DefaultIfEmpty()
                .MaxBy(move => move.Gain);
            if (best.Gain <= 0)
            {
                return;
            }

            left -= best.Cost;
            taken[best.Layer] = best.Index;
        }
    }

    /// <summary>The options on the lower convex hull, from the cheapest to the least distorted: costs rise, slopes rise towards 0.</summary>
    private static List<Corner> Hull(IReadOnlyList<AllocationOption> options)
    {
        var hull = new List<Corner>();
        foreach (var corner in options.Select((option, index) => new Corner(option.Cost, option.Distortion, index)).OrderBy(corner => corner.Cost).ThenBy(corner => corner.Distortion))
        {
            if (hull.Count > 0 && corner.Distortion >= hull[^1].Distortion)
            {
                continue;
            }

            while (hull.Count > 1 && Slope(hull[^2], hull[^1]) >= Slope(hull[^1], corner))
            {
                hull.RemoveAt(hull.Count - 1);
            }

            hull.Add(corner);
        }

        return hull;
    }

    private static double Slope(Corner from, Corner to) => (to.Distortion - from.Distortion) / (to.Cost - from.Cost);

    private readonly record struct Corner(long Cost, double Distortion, int Index);
}
