using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class ProjectionTests
{
    [Theory]
    [InlineData(9, 14)]
    [InlineData(14, 9)]
    [InlineData(10, 10)]
    [InlineData(1, 8)]
    [InlineData(8, 1)]
    public void Both_routes_give_one_orthonormal_basis_in_the_gauge(int rows, int columns)
    {
        using var scope = NewDisposeScope();
        var matrix = Random(rows, columns);
        var exact = LeftSvd.Of(matrix, SvdRoute.Exact);
        var gram = LeftSvd.Of(matrix, SvdRoute.Gram);
        foreach (var basis in new[] { exact, gram })
        {
            int k = Math.Min(rows, columns);
            basis.Vectors.shape.ShouldBe([rows, k]);
            basis.Values.ShouldBe(basis.Values.OrderDescending());
            basis.Vectors.mT.mm(basis.Vectors).ShouldBeNear(eye(k, dtype: float64), 1e-10);
            basis.Vectors.gather(0, basis.Vectors.abs().argmax(0, keepdim: true)).min().item<double>().ShouldBeGreaterThan(0);
        }

        gram.Vectors.ShouldBeNear(exact.Vectors, 1e-7);
        gram.Values.ShouldBeNear(tensor(exact.Values), 1e-10);
    }

    [Theory]
    [InlineData(9, 14)]
    [InlineData(14, 9)]
    public void Energy_and_loss_share_out_the_whole_spectrum(int rows, int columns)
    {
        using var scope = NewDisposeScope();
        var projection = Projection.Of(Random(rows, columns), Random(rows, columns), SvdRoute.Exact);
        double whole = projection.Spectrum.Sum(value => value * value);
        double before = double.PositiveInfinity;
        for (int rank = 1; rank <= projection.Spectrum.Length; rank++)
        {
            foreach (var slice in Enum.GetValues<Slice>())
            {
                (projection.Energy(slice, rank) + projection.Loss(slice, rank)).ShouldBeNear(whole, 1e-12);
            }

            projection.Loss(Slice.Top, rank).ShouldBeLessThan(before);
            before = projection.Loss(Slice.Top, rank);
        }

        Should.Throw<ArgumentOutOfRangeException>(() => projection.Energy(Slice.Top, projection.Spectrum.Length + 1));
        Should.Throw<ArgumentOutOfRangeException>(() => projection.Energy(Slice.Top, 0));
    }

    [Fact]
    public void Directions_that_carry_nothing_have_zero_factors()
    {
        using var scope = NewDisposeScope();
        var weight = Random(8, 3).mm(Random(3, 6));
        var projection = Projection.Of(weight, weight, SvdRoute.Exact);
        projection.NumericalRank.ShouldBe(3);
        foreach (var fuse in Enum.GetValues<SigmaFuse>())
        {
            var factors = projection.Factors(Slice.Bottom, 2, fuse);
            factors.A.abs().max().item<double>().ShouldBe(0);
            factors.Multiply().isfinite().all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void A_zero_matrix_has_no_rank_and_finite_factors()
    {
        using var scope = NewDisposeScope();
        var projection = Projection.Of(zeros(4, 5, dtype: float64), zeros(4, 5, dtype: float64), SvdRoute.Gram);
        projection.NumericalRank.ShouldBe(0);
        Compare.Norm(projection.Factors(Slice.Top, 2).Balance().Multiply()).ShouldBe(0);
    }

    [Fact]
    public void Balanced_factors_have_one_product_and_equal_norms()
    {
        using var scope = NewDisposeScope();
        var weight = Random(8, 6);
        var factors = Projection.Of(weight, weight * 1e-9, SvdRoute.Exact).Factors(Slice.Top, 4);
        var balanced = factors.Balance();
        balanced.Multiply().ShouldBeNear(factors.Multiply(), 1e-12);
        balanced.B.square().sum([0]).ShouldBeNear(balanced.A.square().sum(1), 1e-12);

        var plain = Projection.Of(weight, weight, SvdRoute.Exact).Factors(Slice.Top, 4);
        balanced.B.ShouldBeNear(plain.B, 1e-8);
    }

    [Fact]
    public void Every_factor_of_a_metric_is_right()
    {
        using var scope = NewDisposeScope();
        foreach (int tokens in new[] { 3, 6, 40 })
        {
            var x = Random(tokens, 6);
            var gram = x.mT.mm(x);
            foreach (var factor in new[] { MetricFactor.OfSamples(x), MetricFactor.OfGram(gram) })
            {
                factor.mm(factor.mT).ShouldBeNear(gram, 1e-12);
            }
        }
    }

    [Fact]
    public void The_same_input_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var outer = NewDisposeScope();
        var weight = Random(20, 30);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (NewDisposeScope())
        {
            foreach (var route in Enum.GetValues<SvdRoute>())
            {
                var results = Enumerable.Range(0, 2).Select(_ => Projection.Of(weight, weight.mm(MetricFactor.OfGram(weight.mT.mm(weight))), route).Factors(Slice.Top, 5).Balance()).ToList();
                Compare.SameBits(results[0].A, results[1].A).ShouldBeTrue();
                Compare.SameBits(results[0].B, results[1].B).ShouldBeTrue();
            }
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    private static Tensor Random(long rows, long columns) => randn(rows, columns, dtype: float64, generator: new Generator(3));
}
