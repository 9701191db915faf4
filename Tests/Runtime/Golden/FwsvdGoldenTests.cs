using System.Globalization;
using PipelineDsl.Runtime.Decomposition;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>FWSVD against the float64 reference, on each axis.</summary>
[Trait("Category", "Golden")]
public sealed class FwsvdGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("fwsvd");
    private readonly Tensor weight;
    private readonly Tensor fisher;
    private readonly int rank;

    public FwsvdGoldenTests()
    {
        weight = golden["in.weight"];
        fisher = golden["out.fisher"];
        rank = golden.Integer("rank");
    }

    private int FullRank => (int)Math.Min(weight.shape[0], weight.shape[1]);

    private double Floor => golden.Number("floor_rel");

    [Fact]
    public void Streamed_gradients_give_the_sums_of_the_fisher_matrix_in_any_order()
    {
        var gradients = golden["in.grads"];
        gradients.square().mean([0]).ShouldBeNear(fisher, 1e-12);
        foreach (var order in new[] { gradients, gradients.flip(0) })
        {
            using var accumulator = Accumulate(order);
            accumulator.Rows().ShouldBeNear(fisher.sum(1), 1e-12);
            accumulator.Columns().ShouldBeNear(fisher.sum([0]), 1e-12);
        }
    }

    [Fact]
    public void Each_axis_gives_its_weights_spectrum_factors_and_losses()
    {
        foreach (var (name, axis) in Axes())
        {
            var (rows, columns) = Weights(fisher, axis);
            rows.ShouldBeNear(golden[$"out.{name}.row_weight"], 1e-12);
            columns.ShouldBeNear(golden[$"out.{name}.col_weight"], 1e-12);
            var result = FisherWeighting.Of(weight, rows, columns, axis, rank);
            result.Spectrum.ShouldBeNear(golden[$"out.{name}.S"], 1e-10);
            result.Factors.A.ShouldBeNear(golden[$"out.{name}.A"], 1e-7);
            result.Factors.B.ShouldBeNear(golden[$"out.{name}.B"], 1e-7);
            var product = result.Factors.Multiply();
            product.ShouldBeNear(golden[$"out.{name}.weight"], 1e-7);
            WeightedLoss(rows, columns, product).ShouldBeNear(golden.Scalar($"out.{name}.weighted_loss"), 1e-8);
            WeightedLoss(rows, columns, Plain(rank)).ShouldBeNear(golden.Scalar($"out.{name}.weighted_loss_svd"), 1e-8);
            SquaredLoss(product).ShouldBeNear(golden.Scalar($"out.{name}.fro_loss"), 1e-7);
        }

        SquaredLoss(Plain(rank)).ShouldBeNear(golden.Scalar("out.fro_loss_svd"), 1e-9);
    }

    [Fact]
    public void The_weighted_loss_is_the_tail_of_the_spectrum_and_below_that_of_plain_svd()
    {
        foreach (var (_, axis) in Axes())
        {
            var (rows, columns) = Weights(fisher, axis);
            var result = FisherWeighting.Of(weight, rows, columns, axis, rank);
            var product = result.Factors.Multiply();
            double loss = WeightedLoss(rows, columns, product);
            loss.ShouldBeNear(result.Spectrum[rank..].Sum(value => value * value), 1e-9);
            loss.ShouldBeLessThan(WeightedLoss(rows, columns, Plain(rank)));
            SquaredLoss(product).ShouldBeGreaterThanOrEqualTo(SquaredLoss(Plain(rank)));
        }
    }

    [Fact]
    public void A_constant_fisher_matrix_gives_plain_svd()
    {
        foreach (var (_, axis) in Axes())
        {
            Solve(ones_like(fisher) * 0.37, axis, rank).ShouldBeNear(Plain(rank), 1e-10);
        }
    }

    [Fact]
    public void A_scaled_fisher_matrix_leaves_the_weight_unchanged()
    {
        foreach (var (_, axis) in Axes())
        {
            foreach (double factor in new[] { 1e-12, 1e12 })
            {
                Solve(fisher * factor, axis, rank).ShouldBeNear(Solve(fisher, axis, rank), 1e-9);
            }
        }
    }

    [Fact]
    public void A_fisher_matrix_of_rank_one_is_solved_exactly_by_both_axes()
    {
        var (rows, columns) = Weights(fisher, FisherAxis.Both);
        var separable = rows.square().outer(columns.square());
        var factors = FisherWeighting.Of(weight, rows, columns, FisherAxis.Both, rank).Factors;
        double Loss(FactorPair pair) => (separable * (weight - pair.Multiply()).square()).sum().item<double>();
        double before = Loss(factors);
        double after = Loss(AlternateOnce(separable, factors));
        (before - after).ShouldBeLessThan(1e-10 * before);
    }

    [Fact]
    public void Forms_with_and_without_division_agree_where_no_weight_is_floored()
    {
        var alive = fisher + fisher.mean() * 0.1;
        foreach (var (_, axis) in Axes())
        {
            var (rows, columns) = Weights(alive, axis);
            var (u, s, vh) = linalg.svd(weight * rows.unsqueeze(1) * columns, fullMatrices: false);
            var divided = (u.narrow(1, 0, rank) / rows.unsqueeze(1) * s.narrow(0, 0, rank)).mm(vh.narrow(0, 0, rank) / columns);
            FisherWeighting.Of(weight, rows, columns, axis, rank).Factors.Multiply().ShouldBeNear(divided, 1e-7);
        }
    }

    [Fact]
    public void A_row_that_no_gradient_touches_gives_finite_factors()
    {
        var dead = fisher.clone();
        dead[0] = 0;
        var rows = FisherWeighting.Weights(dead.sum(1), 0);
        foreach (var fuse in Enum.GetValues<SigmaFuse>())
        {
            var factors = FisherWeighting.Of(weight, rows, ones(weight.shape[1], dtype: float64), FisherAxis.Output, rank, fuse).Factors;
            factors.Multiply().isfinite().all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void The_full_rank_returns_the_weight()
    {
        var alive = fisher + fisher.mean() * 0.1;
        foreach (var (_, axis) in Axes())
        {
            Solve(alive, axis, FullRank).ShouldBeNear(weight, 1e-9);
        }
    }

    private static FisherAccumulator Accumulate(Tensor gradients)
    {
        var accumulator = new FisherAccumulator(gradients.shape[1], gradients.shape[2]);
        for (long i = 0; i < gradients.shape[0]; i++)
        {
            accumulator.Add(gradients[i]);
        }

        return accumulator;
    }

    private IEnumerable<(string Name, FisherAxis Axis)> Axes() => golden.Variants("out.")
        .Where(name => golden.Has($"out.{name}.row_weight"))
        .Select(name => (name, Enum.Parse<FisherAxis>(CultureInfo.InvariantCulture.TextInfo.ToTitleCase(name))));

    /// <summary>The weights of both sides; ones for the side that the axis leaves alone.</summary>
    private (Tensor Rows, Tensor Columns) Weights(Tensor matrix, FisherAxis axis) => (
        axis == FisherAxis.Input ? ones(matrix.shape[0], dtype: float64) : FisherWeighting.Weights(matrix.sum(1), Floor),
        axis == FisherAxis.Output ? ones(matrix.shape[1], dtype: float64) : FisherWeighting.Weights(matrix.sum([0]), Floor));

    private Tensor Solve(Tensor matrix, FisherAxis axis, int kept)
    {
        var (rows, columns) = Weights(matrix, axis);
        return FisherWeighting.Of(weight, rows, columns, axis, kept).Factors.Multiply();
    }

    private Tensor Plain(int kept) => Projection.Of(weight, weight, SvdRoute.Exact).Project(Slice.Top, kept);

    private double WeightedLoss(Tensor rows, Tensor columns, Tensor result) =>
        ((weight - result) * rows.unsqueeze(1) * columns).square().sum().item<double>();

    private double SquaredLoss(Tensor result) => (weight - result).square().sum().item<double>();

    /// <summary>One sweep of weighted least squares: each row of B, then each column of A.</summary>
    private FactorPair AlternateOnce(Tensor elementWeights, FactorPair start)
    {
        var b = stack([.. Enumerable.Range(0, (int)weight.shape[0]).Select(i => Weighted(start.A.mT, weight[i], elementWeights[i]))]);
        var a = stack([.. Enumerable.Range(0, (int)weight.shape[1]).Select(j => Weighted(b, weight.select(1, j), elementWeights.select(1, j)))], 1);
        return new(b, a);
    }

    private static Tensor Weighted(Tensor design, Tensor target, Tensor weights)
    {
        var root = weights.sqrt();
        var (q, r) = linalg.qr(design * root.unsqueeze(1));
        return linalg.solve(r, q.mT.mv(target * root).unsqueeze(1)).squeeze(1);
    }
}
