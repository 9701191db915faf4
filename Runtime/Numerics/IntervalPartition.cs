using System.Numerics;
using System.Runtime.CompilerServices;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>One-dimensional weighted k-means solved exactly: the best clusters are intervals of the sorted points, found by dynamic programming.</summary>
/// <param name="capacity">The most points; buffers are made once and used for row after row.</param>
/// <param name="clusters">K, at least 1.</param>
/// <remarks>
/// D_k(i) = min_j D_{k−1}(j) + cost of the points from j up to i. The cost of an interval is S2 − S1²/S0 with prefix sums of w, w x and w x² in float64 around the mean. Its
/// best j never falls as i or k grows, so the middle i of a range cuts the range of j for both sides: O(K n log n). No start, no seed.
/// </remarks>
internal sealed class IntervalPartition(int capacity, int clusters)
{
    /// <summary>Points weigh at least this share of the whole: differences of prefix sums would lose lighter ones. What that moves, the means over true weights put right.</summary>
    private const double LeastShare = 1.0 / (1L << 46);

    private const int PolishingRounds = 16;

    private readonly double[] mass = new double[capacity + 1];
    private readonly double[] moment = new double[capacity + 1];
    private readonly double[] square = new double[capacity + 1];
    private readonly int[][] starts = [.. Enumerable.Range(0, clusters).Select(_ => new int[capacity + 1])];
    private double[] before = new double[capacity + 1];
    private double[] current = new double[capacity + 1];

    /// <summary>Finds the centroids of least cost.</summary>
    /// <param name="line">The points, at least one.</param>
    /// <param name="centroids">Takes K centroids, ascending; with fewer points than that the last one is repeated.</param>
    public void Solve(WeightedLine line, Span<double> centroids)
    {
        int count = line.Values.Length;
        if (count <= clusters)
        {
            line.Repeat(centroids);
            return;
        }

        Sum(line);
        for (int end = 0; end <= count; end++)
        {
            before[end] = end == 0 ? 0 : Cost(0, end);
        }

        for (int cluster = 1; cluster < clusters; cluster++)
        {
            // Every cluster takes a point, and so do those to come; of the last one only the end counts.
            int first = cluster + 1 == clusters ? count : cluster + 1;
            Extend(first, count - (clusters - 1 - cluster), cluster, count - 1, starts[cluster], starts[cluster - 1]);
            (before, current) = (current, before);
        }

        int stop = count;
        for (int cluster = clusters - 1; cluster >= 0; cluster--)
        {
            int start = cluster == 0 ? 0 : starts[cluster][stop];
            centroids[cluster] = Mean(line, start, stop);
            stop = start;
        }

        line.Refine(centroids, PolishingRounds);
    }

    private void Sum(WeightedLine line)
    {
        double whole = 0;
        double centre = 0;
        for (int i = 0; i < line.Values.Length; i++)
        {
            whole += line.Weights[i];
            centre += line.Weights[i] * line.Values[i];
        }

        centre /= whole;
        for (int i = 0; i < line.Values.Length; i++)
        {
            double weight = Math.Max(line.Weights[i] / whole, LeastShare);
            double distance = line.Values[i] - centre;
            mass[i + 1] = mass[i] + weight;
            moment[i + 1] = moment[i] + (weight * distance);
            square[i + 1] = square[i] + (weight * distance * distance);
        }
    }

    private static double Mean(WeightedLine line, int start, int stop)
    {
        double origin = line.Values[start];
        double whole = 0;
        double sum = 0;
        for (int i = start; i < stop; i++)
        {
            whole += line.Weights[i];
            sum += line.Weights[i] * (line.Values[i] - origin);
        }

        return origin + (sum / whole);
    }

    /// <summary>Fills D_k for a range of ends whose best starts lie in a range, and not before those of one cluster less.</summary>
    private void Extend(int firstEnd, int lastEnd, int firstStart, int lastStart, int[] best, int[] fewer)
    {
        while (firstEnd <= lastEnd)
        {
            int middle = (firstEnd + lastEnd) >> 1;
            int start = BestStart(Math.Max(firstStart, fewer[middle - 1]), Math.Min(lastStart, middle - 1), middle);
            best[middle] = start;
            current[middle] = before[start] + Cost(start, middle);
            Extend(firstEnd, middle - 1, firstStart, start, best, fewer);
            (firstEnd, firstStart) = (middle + 1, start);
        }
    }

    private double Cost(int start, int end)
    {
        double first = moment[end] - moment[start];
        return Math.Max(0, square[end] - square[start] - (first * first / (mass[end] - mass[start])));
    }

    /// <summary>The first of the best starts. Lanes hold the same operations as the scalar rest, so every machine finds the same one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int BestStart(int first, int last, int end)
    {
        int width = Vector<double>.Count;
        int best = first;
        double least = double.PositiveInfinity;
        int start = first;
        if (last - first + 1 >= 2 * width)
        {
            var (masses, moments, squares) = (new Vector<double>(mass[end]), new Vector<double>(moment[end]), new Vector<double>(square[end]));
            var leasts = new Vector<double>(double.PositiveInfinity);
            var bests = Vector<double>.Zero;
            var places = Vector.CreateSequence((double)first, 1.0);
            var step = new Vector<double>(width);
            for (; start + width <= last + 1; start += width)
            {
                var sum = moments - new Vector<double>(moment, start);
                var cost = squares - new Vector<double>(square, start) - (sum * sum / (masses - new Vector<double>(mass, start)));
                var value = new Vector<double>(before, start) + Vector.Max(Vector<double>.Zero, cost);
                var better = Vector.LessThan(value, leasts);
                leasts = Vector.ConditionalSelect(better, value, leasts);
                bests = Vector.ConditionalSelect(better, places, bests);
                places += step;
            }

            for (int lane = 0; lane < width; lane++)
            {
                if (leasts[lane] < least || (leasts[lane] == least && bests[lane] < best))
                {
                    (least, best) = (leasts[lane], (int)bests[lane]);
                }
            }
        }

        for (; start <= last; start++)
        {
            double sum = moment[end] - moment[start];
            double value = before[start] + Math.Max(0, square[end] - square[start] - (sum * sum / (mass[end] - mass[start])));
            if (value < least)
            {
                (least, best) = (value, start);
            }
        }

        return best;
    }
}
