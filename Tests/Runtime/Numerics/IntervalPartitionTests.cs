using PipelineDsl.Runtime.Numerics;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class IntervalPartitionTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(8)]
    public void No_partition_into_intervals_costs_less(int clusters)
    {
        var random = new Random(clusters);
        for (int round = 0; round < 20; round++)
        {
            double[] points = [.. Enumerable.Range(0, 9 + round % 3).Select(_ => Math.Round(random.NextDouble() * 40) / 7)];
            double[] weights = [.. points.Select(_ => Math.Pow(10, random.NextDouble() * 4))];
            var line = Load(points, weights);
            double cost = line.Cost(Solve(line, clusters));
            cost.ShouldBeLessThanOrEqualTo(Best([.. line.Values], [.. line.Weights], clusters) * (1 + 1e-12) + 1e-24);
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(200)]
    public void Many_points_cost_no_more_than_after_lloyds_iteration(int clusters)
    {
        var random = new Random(3);
        double[] points = [.. Enumerable.Range(0, 700).Select(_ => (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * Math.Exp(random.NextDouble()))];
        double[] weights = [.. points.Select(_ => Math.Pow(random.NextDouble(), 6))];
        var line = Load(points, weights);
        double[] exact = Solve(line, clusters);
        double[] iterated = new double[clusters];
        line.Quantiles(iterated);
        double start = line.Cost(iterated);
        line.Refine(iterated, 50);
        line.Cost(iterated).ShouldBeLessThan(start);
        line.Cost(exact).ShouldBeLessThanOrEqualTo(line.Cost(iterated));
        exact.ShouldBe(exact.Order());
        iterated.ShouldBe(iterated.Order());
        double[] settled = [.. exact];
        line.Refine(settled, 50);
        line.Cost(settled).ShouldBe(line.Cost(exact), 1e-12 * line.Cost(exact));
    }

    [Fact]
    public void As_many_clusters_as_points_cost_nothing_and_spare_ones_repeat_the_last()
    {
        var line = Load([3, 1, 3, 2, 7], [1, 1, 2, 1, 0]);
        double[] centroids = Solve(line, 5);
        centroids.ShouldBe([1, 2, 3, 3, 3]);
        line.Cost(centroids).ShouldBe(0);
        Labels([3, 1, 9, 2], centroids).ShouldBe([2, 0, 2, 1]);
    }

    [Fact]
    public void Of_equally_near_centroids_the_first_is_taken() => Labels([1, 2, 3, -5, 9], [0, 2, 4]).ShouldBe([0, 1, 1, 0, 2]);

    [Fact]
    public void One_weight_above_all_others_leaves_them_well_served()
    {
        var random = new Random(5);
        double[] points = [.. Enumerable.Range(0, 64).Select(_ => random.NextDouble())];
        double[] weights = [.. points.Select((_, i) => i == 7 ? 1e30 : 1.0)];
        var line = Load(points, weights);
        double[] centroids = Solve(line, 8);
        centroids.ShouldContain(points[7]);
        points.ShouldAllBe(point => centroids.Min(centroid => Math.Abs(centroid - point)) < 0.2);
    }

    [Fact]
    public void The_place_and_the_scale_of_points_and_weights_do_not_matter()
    {
        var random = new Random(9);
        double[] points = [.. Enumerable.Range(0, 100).Select(_ => random.NextDouble())];
        double[] weights = [.. points.Select(_ => random.NextDouble())];
        short[] labels = Labels(points, Solve(Load(points, weights), 8));
        Labels(points, Solve(Load(points, [.. weights.Select(weight => weight * 1e-30)]), 8)).ShouldBe(labels);
        double[] moved = [.. points.Select(point => (point * 1e-6) + 1)];
        Labels(moved, Solve(Load(moved, weights), 8)).ShouldBe(labels);
    }

    private static WeightedLine Load(double[] points, double[] weights)
    {
        var line = new WeightedLine(points.Length);
        line.Load(points, weights);
        return line;
    }

    private static double[] Solve(WeightedLine line, int clusters)
    {
        double[] centroids = new double[clusters];
        new IntervalPartition(Math.Max(1, line.Values.Length), clusters).Solve(line, centroids);
        return centroids;
    }

    private static short[] Labels(double[] points, double[] centroids)
    {
        short[] labels = new short[points.Length];
        WeightedLine.Assign(points, centroids, labels);
        return labels;
    }

    /// <summary>Every way to cut sorted points into at most so many intervals.</summary>
    private static double Best(double[] values, double[] weights, int clusters)
    {
        if (clusters == 0 || values.Length == 0)
        {
            return values.Length == 0 ? 0 : double.PositiveInfinity;
        }

        return Enumerable.Range(1, values.Length).Min(size =>
        {
            double mean = values.Take(size).Zip(weights, (value, weight) => value * weight).Sum() / weights.Take(size).Sum();
            double cost = values.Take(size).Zip(weights, (value, weight) => weight * (value - mean) * (value - mean)).Sum();
            return cost + Best(values[size..], weights[size..], clusters - 1);
        });
    }
}
