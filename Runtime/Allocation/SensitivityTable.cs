namespace PipelineDsl.Runtime.Allocation;

/// <summary>How a model's quality answers to each way of compressing each layer alone; measured once, searched in many ways.</summary>
/// <param name="Baseline">The metric of the uncompressed model; lower is better.</param>
/// <param name="Rows">The layers.</param>
public sealed record SensitivityTable(double Baseline, IReadOnlyList<SensitivityRow> Rows)
{
    /// <summary>Measures a table.</summary>
    /// <param name="baseline">The metric of the uncompressed model.</param>
    /// <param name="layers">Each layer's name and the costs of its candidates.</param>
    /// <param name="measure">The metric with one candidate (layer, candidate) in place and everything else as it was.</param>
    public static SensitivityTable Measure(double baseline, IReadOnlyList<(string Layer, IReadOnlyList<long> Costs)> layers, Func<int, int, double> measure) =>
        new(baseline, [.. layers.Select((layer, i) => new SensitivityRow(layer.Layer, layer.Costs, [.. layer.Costs.Select((_, candidate) => measure(i, candidate))]))]);

    /// <summary>What each candidate adds to the metric; negative where it gets better.</summary>
    public IReadOnlyList<double[]> Increases() => [.. Rows.Select(row => row.Metrics.Select(metric => metric - Baseline).ToArray())];

    /// <summary>For each layer the smallest candidate whose relative change stays below a limit in all layers of its group (LoRD, arXiv:2309.14021, step 8).</summary>
    /// <param name="limit">The largest relative increase of the metric.</param>
    /// <param name="group">The group of a layer, whose candidates are numbered alike; by itself where null.</param>
    /// <returns>The candidate of each layer; −1 where every candidate is beyond the limit.</returns>
    public IReadOnlyList<int> WithinLimit(double limit, Func<string, string>? group = null)
    {
        var groups = Rows.GroupBy(row => group is null ? row.Layer : group(row.Layer)).ToDictionary(rows => rows.Key, rows => Smallest([.. rows], limit));
        return [.. Rows.Select(row => groups[group is null ? row.Layer : group(row.Layer)])];
    }

    /// <summary>ASVD's search (arXiv:2312.05821): candidates leave from the most harmful on, each layer takes its smallest remaining one, and the cut stands where the budget is just met.</summary>
    /// <remarks>The official code ends its binary search with the cut probed last, which can be one step off; this is the last cut that fits.</remarks>
    /// <param name="originalCosts">What each layer costs uncompressed.</param>
    /// <param name="budget">The largest sum of costs.</param>
    /// <returns>The candidate of each layer, −1 for uncompressed; null when not even the smallest candidates fit.</returns>
    public IReadOnlyList<int>? MostSensitiveFirst(IReadOnlyList<long> originalCosts, long budget)
    {
        var order = Rows.SelectMany((row, layer) => row.Metrics.Select((metric, candidate) => (Layer: layer, Candidate: candidate, Metric: metric)))
            .OrderByDescending(cell => double.IsNaN(cell.Metric) ? double.PositiveInfinity : cell.Metric)
            .ToList();
        int low = -1;
        int high = order.Count + 1;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            (low, high) = Cost(After(order, middle), originalCosts) <= budget ? (middle, high) : (low, middle);
        }

        return low < 0 ? null : After(order, low);
    }

    /// <summary>LoRD's search for a budget: <see cref="WithinLimit"/> with the least limit whose choices fit.</summary>
    /// <param name="originalCosts">What each layer costs uncompressed.</param>
    /// <param name="budget">The largest sum of costs.</param>
    /// <returns>The candidate of each layer, −1 for uncompressed; null when not even the smallest candidates whose metric is finite fit.</returns>
    public IReadOnlyList<int>? LeastLimit(IReadOnlyList<long> originalCosts, long budget)
    {
        // A limit is open, so the next number above each loss is where a choice comes in.
        double[] limits = [double.NegativeInfinity, .. Rows.SelectMany(row => row.Metrics).Where(double.IsFinite).Select(metric => double.BitIncrement((metric - Baseline) / Baseline)).Distinct().Order(), double.PositiveInfinity];
        int low = -1;
        int high = limits.Length;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            (low, high) = Cost([.. WithinLimit(limits[middle])], originalCosts) <= budget ? (low, middle) : (middle, high);
        }

        return high == limits.Length ? null : WithinLimit(limits[high]);
    }

    private int Smallest(IReadOnlyList<SensitivityRow> rows, double limit) => Enumerable.Range(0, rows.Min(row => row.Costs.Count))
        .Where(candidate => rows.All(row => (row.Metrics[candidate] - Baseline) / Baseline < limit))
        .OrderBy(candidate => rows.Sum(row => row.Costs[candidate]))
        .DefaultIfEmpty(-1)
        .First();

    private int[] After(IReadOnlyList<(int Layer, int Candidate, double Metric)> order, int cut)
    {
        int[] taken = [.. Rows.Select(_ => -1)];
        foreach (var (layer, candidate, _) in order.Skip(cut))
        {
            if (taken[layer] < 0 || Rows[layer].Costs[candidate] < Rows[layer].Costs[taken[layer]])
            {
                taken[layer] = candidate;
            }
        }

        return taken;
    }

    private long Cost(int[] taken, IReadOnlyList<long> originalCosts) => taken.Select((candidate, layer) => candidate < 0 ? originalCosts[layer] : Rows[layer].Costs[candidate]).Sum();
}

/// <summary>One layer's candidates.</summary>
/// <param name="Layer">Its name.</param>
/// <param name="Costs">What each candidate costs.</param>
/// <param name="Metrics">The model's metric with each candidate in place.</param>
public sealed record SensitivityRow(string Layer, IReadOnlyList<long> Costs, IReadOnlyList<double> Metrics);
