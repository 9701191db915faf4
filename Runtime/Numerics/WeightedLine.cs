using System.Runtime.CompilerServices;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Points of a line with weights: sorted, equal ones merged, those without weight left out. What one-dimensional k-means works on.</summary>
/// <param name="capacity">The most points; buffers are made once and used for row after row.</param>
internal sealed class WeightedLine(int capacity)
{
    private readonly double[] values = new double[capacity];
    private readonly double[] weights = new double[capacity];
    private int count;

    /// <summary>The distinct points, ascending.</summary>
    public ReadOnlySpan<double> Values => values.AsSpan(0, count);

    /// <summary>Their weights, above 0.</summary>
    public ReadOnlySpan<double> Weights => weights.AsSpan(0, count);

    /// <summary>Takes other points.</summary>
    /// <param name="points">Finite, in any order.</param>
    /// <param name="masses">A weight a point, finite and not negative.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Load(ReadOnlySpan<double> points, ReadOnlySpan<double> masses)
    {
        int taken = 0;
        for (int i = 0; i < points.Length; i++)
        {
            if (masses[i] > 0)
            {
                values[taken] = points[i];
                weights[taken++] = masses[i];
            }
        }

        Array.Sort(values, weights, 0, taken);
        count = 0;
        for (int i = 0; i < taken; i++)
        {
            if (count > 0 && values[count - 1] == values[i])
            {
                weights[count - 1] += weights[i];
            }
            else
            {
                values[count] = values[i];
                weights[count++] = weights[i];
            }
        }
    }

    /// <summary>Σ w (x − c)² with c the nearest centroid.</summary>
    /// <param name="centroids">Ascending.</param>
    public double Cost(ReadOnlySpan<double> centroids)
    {
        double cost = 0;
        int cluster = 0;
        for (int i = 0; i < count; i++)
        {
            cluster = Next(centroids, cluster, values[i]);
            double distance = values[i] - centroids[cluster];
            cost += weights[i] * distance * distance;
        }

        return cost;
    }

    /// <summary>Moves every centroid to the weighted mean of the points nearest to it, until none moves (Lloyd); those without points stay.</summary>
    /// <param name="centroids">Ascending, none twice but for repetitions of the last; still ascending afterwards.</param>
    /// <param name="mostRounds">The largest number of rounds.</param>
    public void Refine(Span<double> centroids, int mostRounds)
    {
        Span<double> moved = new double[centroids.Length];
        for (int round = 0; round < mostRounds; round++)
        {
            Means(centroids, moved);
            if (moved.SequenceEqual(centroids))
            {
                return;
            }

            moved.CopyTo(centroids);
        }
    }

    /// <summary>A start for <see cref="Refine"/>: the points at the middles of equal shares of the weight, none twice; with fewer points than centroids the last one is repeated.</summary>
    public void Quantiles(Span<double> centroids)
    {
        if (count <= centroids.Length)
        {
            Repeat(centroids);
            return;
        }

        double whole = 0;
        foreach (double weight in Weights)
        {
            whole += weight;
        }

        double passed = 0;
        int place = -1;
        for (int k = 0; k < centroids.Length; k++)
        {
            // The next one, unless there is more to pass; as many as there are centroids to come are left.
            do
            {
                passed += weights[++place];
            }
            while (place < count - (centroids.Length - k) && passed <= whole * (k + 0.5) / centroids.Length);

            centroids[k] = values[place];
        }
    }

    /// <summary>All points, the last one as often as there are centroids left.</summary>
    public void Repeat(Span<double> centroids)
    {
        Values.CopyTo(centroids);
        centroids[count..].Fill(values[count - 1]);
    }

    /// <summary>The nearest centroid of each point.</summary>
    /// <param name="points">In any order.</param>
    /// <param name="centroids">Ascending.</param>
    /// <param name="nearest">Takes an index a point.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Assign(ReadOnlySpan<double> points, ReadOnlySpan<double> centroids, Span<short> nearest)
    {
        for (int i = 0; i < points.Length; i++)
        {
            nearest[i] = (short)Nearest(centroids, points[i]);
        }
    }

    /// <summary>The nearest of ascending centroids; of equally near ones the first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Nearest(ReadOnlySpan<double> centroids, double value)
    {
        int above = 0;
        for (int rest = centroids.Length; rest > 0;)
        {
            int half = rest >> 1;
            (above, rest) = centroids[above + half] < value ? (above + half + 1, rest - half - 1) : (above, half);
        }

        int nearest = above == centroids.Length || (above > 0 && value - centroids[above - 1] <= centroids[above] - value) ? above - 1 : above;
        while (nearest > 0 && centroids[nearest - 1] == centroids[nearest])
        {
            nearest--;
        }

        return nearest;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Means(ReadOnlySpan<double> centroids, Span<double> means)
    {
        centroids.CopyTo(means);
        int cluster = 0;
        for (int i = 0; i < count;)
        {
            cluster = Next(centroids, cluster, values[i]);
            double mass = 0;
            double moment = 0;
            double origin = values[i];
            for (; i < count && Next(centroids, cluster, values[i]) == cluster; i++)
            {
                mass += weights[i];
                moment += weights[i] * (values[i] - origin);
            }

            means[cluster] = origin + (moment / mass);
        }
    }

    /// <summary>The cluster of a point no smaller than the last one, whose cluster is given.</summary>
    private static int Next(ReadOnlySpan<double> centroids, int cluster, double value)
    {
        for (int next = cluster + 1; next < centroids.Length && value - centroids[cluster] > centroids[next] - value; next++)
        {
            if (centroids[next] > centroids[cluster])
            {
                cluster = next;
            }
        }

        return cluster;
    }
}
