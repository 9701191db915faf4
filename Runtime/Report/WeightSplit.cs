namespace PipelineDsl.Runtime.Report;

/// <summary>Splits nodes in two, as evenly as their order allows.</summary>
internal static class WeightSplit
{
    /// <summary>A later split must be better by more than this share of the sum: equal ones would be told apart by rounding.</summary>
    private const double Better = 1e-12;

    /// <summary>The first of the most even splits into a head and a tail.</summary>
    /// <param name="nodes">At least two, heaviest first.</param>
    /// <returns>How many nodes the head has, their weight, and the weight of all.</returns>
    public static (int Count, double First, double Sum) Of(ReadOnlySpan<MapNode> nodes)
    {
        double sum = 0;
        foreach (var node in nodes)
        {
            sum += node.Weight;
        }

        var best = (Count: 0, First: 0.0, Sum: sum);
        double least = double.PositiveInfinity;
        double head = 0;
        for (int count = 1; count < nodes.Length; count++)
        {
            head += nodes[count - 1].Weight;
            double difference = Math.Abs(head - (sum - head));
            if (difference < least - (Better * sum))
            {
                (least, best) = (difference, (count, head, sum));
            }
        }

        return best;
    }
}
