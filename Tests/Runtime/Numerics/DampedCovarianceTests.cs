using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class DampedCovarianceTests
{
    [Fact]
    public void The_damping_doubles_until_the_inverse_is_good_enough()
    {
        using var scope = NewDisposeScope();
        var covariance = Singular();
        var first = DampedCovariance.Of(covariance, 1e-6, 1e-3);
        first.Damping.ShouldBe(1e-6);

        // A tolerance below what the first damping reaches forces the doubling path on every machine.
        var forced = DampedCovariance.Of(covariance, 1e-6, first.InverseError / 1000);
        forced.Damping.ShouldBeGreaterThan(1e-6);
        Math.Log2(forced.Damping / 1e-6).ShouldBe(Math.Round(Math.Log2(forced.Damping / 1e-6)), 1e-9);
        forced.InverseError.ShouldBeLessThan(first.InverseError / 1000);
        (forced.Matrix - covariance).ShouldBeNear(eye(6, dtype: float64) * covariance.diagonal().mean() * forced.Damping, 1e-9);
    }

    [Fact]
    public void A_covariance_without_damping_or_hope_is_refused()
    {
        using var scope = NewDisposeScope();
        var covariance = Singular();
        Should.Throw<ArgumentOutOfRangeException>(() => DampedCovariance.Of(covariance, 0, 0.05));
        Should.Throw<InvalidOperationException>(() => DampedCovariance.Of(covariance, 0.01, 1e-30)).Message.ShouldContain("inverseErrorTolerance");
    }

    [Fact]
    public void A_covariance_of_few_tokens_gives_finite_factors()
    {
        using var scope = NewDisposeScope();
        var damped = DampedCovariance.Of(Singular(), 0.01, 0.05);
        var weight = randn(9, 6, dtype: float64, generator: new Generator(5));
        var projection = Projection.Of(weight, weight.mm(damped.Matrix), SvdRoute.Exact);
        foreach (var slice in Enum.GetValues<Slice>())
        {
            projection.Factors(slice, 3).Multiply().ShouldBeNear(projection.Project(slice, 3), 1e-8);
        }
    }

    [Fact]
    public void A_multiple_of_the_identity_gives_plain_svd()
    {
        using var scope = NewDisposeScope();
        var weight = randn(9, 6, dtype: float64, generator: new Generator(5));
        foreach (double factor in new[] { 1e-3, 1, 1e5 })
        {
            var damped = DampedCovariance.Of(eye(6, dtype: float64) * factor, 0.01, 0.05);
            Projection.Of(weight, weight.mm(damped.Matrix), SvdRoute.Exact).Project(Slice.Top, 3)
                .ShouldBeNear(Projection.Of(weight, weight, SvdRoute.Exact).Project(Slice.Top, 3), 1e-10);
        }
    }

    private static Tensor Singular()
    {
        using var x = randn(4, 6, dtype: float64, generator: new Generator(4));
        return x.mT.mm(x);
    }
}
