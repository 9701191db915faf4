using System.Globalization;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Plain SVD, ASVD and SVD-LLM against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class SvdBaselinesGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("svd-baselines");
    private readonly Tensor weight;
    private readonly Tensor samples;
    private readonly Tensor tokens;
    private readonly int rank;

    public SvdBaselinesGoldenTests()
    {
        weight = golden["in.weight"];
        samples = golden["in.samples"];
        tokens = samples.reshape(-1, weight.shape[1]);
        rank = golden.Integer("rank");
    }

    [Fact]
    public void The_gram_matrix_is_summed_over_all_tokens()
    {
        using var accumulator = new InputAccumulator(weight.shape[1]);
        for (long i = 0; i < samples.shape[0]; i++)
        {
            accumulator.Add(samples[i]);
        }

        accumulator.Count.ShouldBe(tokens.shape[0]);
        accumulator.Sum.ShouldBeNear(tokens.sum([0]), 1e-12);
        accumulator.Gram.ShouldBeNear(golden["out.gram"], 1e-12);
    }

    [Fact]
    public void The_factor_of_the_gram_matrix_is_its_cholesky_factor() =>
        MetricFactor.OfGram(golden["out.gram"]).ShouldBeNear(golden["out.svdllm.chol"], 1e-10);

    [Fact]
    public void Channel_scales_follow_the_official_code()
    {
        using var activations = Activations();
        activations.Diagonal(golden.Number("alpha"), golden.Number("asvd_eps")).ShouldBeNear(golden["out.asvd.scale"], 1e-12);
        activations.LargestMagnitudes.ShouldBeNear(golden["out.asvd.abs_max"], 1e-12);
    }

    [Fact]
    public void Each_method_gives_its_spectrum_weight_and_losses()
    {
        foreach (var (method, oriented) in Methods())
        {
            var projection = Projection.Of(weight, oriented, SvdRoute.Exact);
            var result = projection.Project(Slice.Top, rank);
            projection.Spectrum.ShouldBeNear(golden[$"out.{method}.S"], 1e-9);
            result.ShouldBeNear(golden[$"out.{method}.weight"], 1e-8);
            ActivationLoss(result).ShouldBeNear(golden.Scalar($"out.{method}.act_loss"), 1e-8);
            Compare.Norm(weight - result).ShouldBeNear(golden.Scalar($"out.{method}.fro_loss"), 1e-8);
        }
    }

    [Fact]
    public void Factors_of_the_whitened_weight_stand_in_the_stated_gauge()
    {
        var factors = Projection.Of(weight, Whitened(), SvdRoute.Exact).Factors(Slice.Top, rank);
        factors.A.ShouldBeNear(golden["out.svdllm.A"], 1e-7);
        factors.B.ShouldBeNear(golden["out.svdllm.B"], 1e-7);
    }

    [Fact]
    public void Both_routes_and_both_forms_of_the_statistic_agree()
    {
        foreach (var oriented in new[] { Whitened(), weight.mm(MetricFactor.OfSamples(tokens)) })
        {
            foreach (var route in Enum.GetValues<SvdRoute>())
            {
                Projection.Of(weight, oriented, route).Project(Slice.Top, rank).ShouldBeNear(golden["out.svdllm.weight"], 1e-7);
            }
        }
    }

    [Fact]
    public void The_plain_loss_is_the_tail_of_the_spectrum()
    {
        var projection = Projection.Of(weight, weight, SvdRoute.Exact);
        Compare.Norm(weight - projection.Project(Slice.Top, rank)).ShouldBeNear(Math.Sqrt(projection.Loss(Slice.Top, rank)), 1e-10);
    }

    [Fact]
    public void The_whitened_loss_is_the_tail_of_the_spectrum_and_the_smallest_of_all()
    {
        var projection = Projection.Of(weight, Whitened(), SvdRoute.Exact);
        double loss = ActivationLoss(projection.Project(Slice.Top, rank));
        loss.ShouldBeNear(Math.Sqrt(projection.Loss(Slice.Top, rank)), 1e-8);
        var context = DampedCovariance.Of(golden["out.gram"], 0.01, 0.05);
        foreach (var rival in Methods().Select(method => method.Oriented).Append(weight.mm(context.Matrix)))
        {
            loss.ShouldBeLessThanOrEqualTo(ActivationLoss(Projection.Of(weight, rival, SvdRoute.Exact).Project(Slice.Top, rank)) * (1 + 1e-12));
        }
    }

    [Fact]
    public void The_factored_form_is_the_projection_and_the_projector_is_idempotent()
    {
        foreach (var (_, oriented) in Methods())
        {
            var projection = Projection.Of(weight, oriented, SvdRoute.Exact);
            foreach (var fuse in Enum.GetValues<SigmaFuse>())
            {
                projection.Factors(Slice.Top, rank, fuse).Multiply().ShouldBeNear(projection.Project(Slice.Top, rank), 1e-8);
            }

            var directions = projection.Directions(Slice.Top, rank);
            var projector = directions.mm(directions.mT);
            projector.mm(projector).ShouldBeNear(projector, 1e-12);
        }
    }

    [Fact]
    public void A_scaled_metric_leaves_the_weight_unchanged()
    {
        foreach (double factor in new[] { 1e-6, 1e6 })
        {
            var oriented = weight.mm(MetricFactor.OfGram(golden["out.gram"] * factor));
            Projection.Of(weight, oriented, SvdRoute.Exact).Project(Slice.Top, rank).ShouldBeNear(golden["out.svdllm.weight"], 1e-10);
        }
    }

    [Fact]
    public void Whitened_inputs_and_flat_channel_scales_give_plain_svd()
    {
        var plain = golden["out.svd.weight"];
        var (whitened, _) = linalg.qr(tokens);
        if (tokens.shape[0] >= weight.shape[1])
        {
            Projection.Of(weight, weight.mm(MetricFactor.OfSamples(whitened)), SvdRoute.Exact).Project(Slice.Top, rank).ShouldBeNear(plain, 1e-9);
        }

        using var activations = Activations();
        Projection.Of(weight, weight * activations.Diagonal(0, golden.Number("asvd_eps")), SvdRoute.Exact).Project(Slice.Top, rank).ShouldBeNear(plain, 1e-9);
    }

    [Fact]
    public void The_full_rank_returns_the_weight()
    {
        foreach (var (_, oriented) in Methods())
        {
            int full = (int)Math.Min(weight.shape[0], weight.shape[1]);
            Projection.Of(weight, oriented, SvdRoute.Exact).Project(Slice.Top, full).ShouldBeNear(weight, 1e-9);
        }
    }

    [Fact]
    public void Fewer_tokens_than_features_need_no_inverse()
    {
        var few = golden["in.short.x"];
        var expected = golden["out.short.weight"];
        Projection.Of(weight, weight.mm(MetricFactor.OfSamples(few)), SvdRoute.Exact).Project(Slice.Top, rank).ShouldBeNear(expected, 1e-8);

        var singular = few.mT.mm(few);
        MetricFactor.OfGram(singular).isfinite().all().item<bool>().ShouldBeTrue();
        Projection.Of(weight, weight.mm(MetricFactor.OfGram(singular)), SvdRoute.Exact).Project(Slice.Top, rank).ShouldBeNear(expected, 1e-6);
    }

    [Fact]
    public void A_kept_ratio_gives_the_official_rank()
    {
        var ratios = golden.Setting("ratios").Split(',').Select(text => double.Parse(text, CultureInfo.InvariantCulture));
        var shape = new LayerShape(LayerKinds.Linear, weight.shape[0], weight.shape[1]);
        ratios.Select(ratio => (long)new Decompose { KeepRatio = ratio }.RankFor(shape)).ShouldBe(golden["out.rank_at_ratio"].data<long>().ToArray());
    }

    private Tensor Whitened() => weight.mm(MetricFactor.OfGram(golden["out.gram"]));

    private double ActivationLoss(Tensor result) => Compare.Norm((weight - result).mm(tokens.mT));

    private ActivationScale Activations()
    {
        var activations = new ActivationScale(weight.shape[1]);
        for (long i = 0; i < samples.shape[0]; i++)
        {
            activations.Add(samples[i]);
        }

        return activations;
    }

    private IEnumerable<(string Name, Tensor Oriented)> Methods() =>
        [("svd", weight), ("asvd", weight * golden["out.asvd.scale"]), ("svdllm", Whitened())];
}
