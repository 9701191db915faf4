using System.Globalization;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>CorDA against the float64 reference; checks 1 to 9 of its page that need golden data.</summary>
[Trait("Category", "Golden")]
public sealed class CordaGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("corda");
    private readonly Tensor weight;
    private readonly Tensor covariance;
    private readonly int rank;

    public CordaGoldenTests()
    {
        weight = golden["in.weight"];
        covariance = golden["out.cov"];
        rank = golden.Integer("rank");
    }

    private SigmaFuse Fuse => golden.Setting("sigma_fuse") switch { "U" => SigmaFuse.Left, "V" => SigmaFuse.Right, _ => SigmaFuse.Both };

    [Fact]
    public void Samples_divided_by_their_signed_maximum_give_the_covariance()
    {
        using var accumulator = Accumulate(golden["in.samples"]);
        accumulator.Sum.ShouldBeNear(golden["out.cov_sum"], 1e-12);
        accumulator.Mean().ShouldBeNear(covariance, 1e-12);
        (accumulator.Sum / 256).ShouldBeNear(golden["out.cov_div256"], 1e-12);
    }

    [Fact]
    public void The_order_of_samples_does_not_matter()
    {
        using var accumulator = Accumulate(golden["in.samples"].flip(0));
        accumulator.Mean().ShouldBeNear(covariance, 1e-6);
    }

    [Fact]
    public void Each_damping_gives_its_covariance_spectrum_slices_and_loss()
    {
        foreach (var (prefix, damping) in Dampings())
        {
            var damped = DampedCovariance.Of(covariance, damping, golden.Number("inv_error_tol"));
            damped.Damping.ShouldBe(damping);
            damped.Matrix.ShouldBeNear(golden[prefix + "cov_damped"], 1e-12);
            var projection = Projection.Of(weight, weight.mm(damped.Matrix), SvdRoute.Exact);
            projection.Spectrum.ShouldBeNear(golden[prefix + "S"], 1e-10);
            Math.Sqrt(projection.Loss(Slice.Top, rank)).ShouldBeNear(golden.Scalar(prefix + "ipm.context_loss"), 1e-8);
            foreach (var (mode, slice) in new[] { ("ipm", Slice.Top), ("kpm", Slice.Bottom) })
            {
                var delta = projection.Project(slice, rank);
                delta.ShouldBeNear(golden[$"{prefix}{mode}.delta"], 1e-8);
                (weight - delta).ShouldBeNear(golden[$"{prefix}{mode}.residual"], 1e-8);
            }
        }
    }

    [Fact]
    public void Factors_stand_in_the_stated_gauge()
    {
        foreach (var (mode, slice) in new[] { ("ipm", Slice.Top), ("kpm", Slice.Bottom) })
        {
            var factors = Project().Factors(slice, rank, Fuse);
            factors.A.ShouldBeNear(golden[$"out.{mode}.A"], 1e-7);
            factors.B.ShouldBeNear(golden[$"out.{mode}.B"], 1e-7);
        }
    }

    [Fact]
    public void Factors_of_a_lora_layer_carry_the_inverse_of_its_scaling()
    {
        double scaling = golden.Number("lora_alpha") / rank;
        var factors = Project().Factors(Slice.Top, rank, Fuse, scaling);
        factors.A.ShouldBeNear(golden["out.lora.A"], 1e-7);
        factors.B.ShouldBeNear(golden["out.lora.B"], 1e-7);
        (factors.Multiply() * scaling).ShouldBeNear(golden["out.ipm.delta"], 1e-8);
    }

    [Fact]
    public void The_gram_route_finds_the_same_leading_slice()
    {
        var oriented = weight.mm(golden["out.cov_damped"]);
        var projection = Projection.Of(weight, oriented, SvdRoute.Gram);
        projection.Project(Slice.Top, rank).ShouldBeNear(golden["out.ipm.delta"], 1e-6);
        projection.Spectrum.ShouldBeNear(golden["out.S"], 1e-7);
    }

    [Fact]
    public void Before_training_the_adapted_layer_computes_what_the_original_did()
    {
        var x = golden["in.x"];
        foreach (var slice in Enum.GetValues<Slice>())
        {
            var factors = Project().Factors(slice, rank);
            var residual = weight - factors.Multiply();
            var y = x.mm(residual.mT) + x.mm(factors.A.mT).mm(factors.B.mT) + golden["in.bias"];
            y.ShouldBeNear(golden["out.y"], 1e-10);
        }
    }

    [Fact]
    public void The_two_ends_of_the_spectrum_sum_to_the_weight()
    {
        var projection = Project();
        int rest = projection.Spectrum.Length - rank;
        var slices = projection.Project(Slice.Bottom, rank) + (rest > 0 ? projection.Project(Slice.Top, rest) : 0);
        slices.ShouldBeNear(weight, 1e-8);
    }

    [Fact]
    public void No_other_matrix_of_the_rank_has_a_lower_context_loss()
    {
        var damped = golden["out.cov_damped"];
        double loss = Compare.Norm((weight - golden["out.ipm.delta"]).mm(damped));
        loss.ShouldBeNear(Math.Sqrt(Project().Loss(Slice.Top, rank)), 1e-8);
        var samples = Samples();
        foreach (var rival in new[] { weight, weight.mm(MetricFactor.OfSamples(samples)) })
        {
            loss.ShouldBeLessThanOrEqualTo(Compare.Norm((weight - Projection.Of(weight, rival, SvdRoute.Exact).Project(Slice.Top, rank)).mm(damped)) * (1 + 1e-12));
        }
    }

    [Fact]
    public void The_loss_on_activations_orders_the_methods()
    {
        var samples = Samples();
        double Loss(Tensor oriented) => Compare.Norm((weight - Projection.Of(weight, oriented, SvdRoute.Exact).Project(Slice.Top, rank)).mm(samples.mT));
        double plain = Loss(weight);
        double whitened = Loss(weight.mm(MetricFactor.OfSamples(samples)));
        double corda = Loss(weight.mm(golden["out.cov_damped"]));
        plain.ShouldBeNear(golden.Scalar("out.loss_act.svd"), 1e-8);
        whitened.ShouldBeNear(golden.Scalar("out.loss_act.svdllm"), 1e-8);
        corda.ShouldBeNear(golden.Scalar("out.loss_act.corda"), 1e-8);
        whitened.ShouldBeLessThanOrEqualTo(corda);
        whitened.ShouldBeLessThanOrEqualTo(plain);
    }

    [Fact]
    public void The_context_energy_of_a_slice_is_the_sum_of_its_squared_singular_values()
    {
        var projection = Project();
        foreach (var slice in Enum.GetValues<Slice>())
        {
            double energy = Math.Pow(Compare.Norm(projection.Project(slice, rank).mm(golden["out.cov_damped"])), 2);
            energy.ShouldBeNear(projection.Energy(slice, rank), 1e-8);
        }

        projection.Energy(Slice.Bottom, rank).ShouldBeLessThanOrEqualTo(projection.Energy(Slice.Top, rank));
    }

    [Fact]
    public void A_scaled_covariance_scales_the_spectrum_and_nothing_else()
    {
        foreach (double factor in new[] { 1e-6, 1e6 })
        {
            var damped = DampedCovariance.Of(covariance * factor, golden.Number("damp"), golden.Number("inv_error_tol"));
            var projection = Projection.Of(weight, weight.mm(damped.Matrix), SvdRoute.Exact);
            projection.Spectrum.ShouldBeNear(golden["out.S"] * factor, 1e-10);
            projection.Project(Slice.Top, rank).ShouldBeNear(golden["out.ipm.delta"], 1e-8);
            projection.Project(Slice.Bottom, rank).ShouldBeNear(golden["out.kpm.delta"], 1e-8);
        }
    }

    private static double ParseDamping(string digits) => double.Parse(digits[..1] + "." + digits[1..], CultureInfo.InvariantCulture);

    private static CovarianceAccumulator Accumulate(Tensor samples)
    {
        var accumulator = new CovarianceAccumulator(samples.shape[^1], StatisticKinds.ContextCovarianceSignedMax);
        for (long i = 0; i < samples.shape[0]; i++)
        {
            accumulator.Add(samples[i]);
        }

        return accumulator;
    }

    private Tensor Samples() => golden["in.samples"].reshape(-1, weight.shape[1]);

    private Projection Project() => Projection.Of(weight, weight.mm(golden["out.cov_damped"]), SvdRoute.Exact);

    private IEnumerable<(string Prefix, double Damping)> Dampings() => golden.Variants("out.")
        .Where(name => name.StartsWith("damp", StringComparison.Ordinal))
        .Select(name => ($"out.{name}.", ParseDamping(name["damp".Length..])))
        .Prepend(("out.", golden.Number("damp")));
}
