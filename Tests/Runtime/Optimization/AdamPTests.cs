using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

public sealed class AdamPTests
{
    private static Tensor Start => randn(5, 8, dtype: float64, generator: new Generator(1));

    private static Tensor Gradients => randn(10, 5, 8, dtype: float64, generator: new Generator(2));

    [Fact]
    public void Without_a_threshold_and_for_vectors_it_is_AdamW()
    {
        using var scope = NewDisposeScope();
        var adamW = new AdamW(0.01) { WeightDecay = 0.1 };
        Trajectory.Of(new AdamP(0.01) { WeightDecay = 0.1, Delta = 0 }, Start, Gradients).ShouldBeNear(Trajectory.Of(adamW, Start, Gradients), 1e-15);
        Trajectory.Of(new AdamP(0.01) { WeightDecay = 0.1, Delta = 1e9 }, Start[0], Gradients[TensorIndex.Colon, 0]).ShouldBeNear(Trajectory.Of(adamW, Start[0], Gradients[TensorIndex.Colon, 0]), 1e-15);
    }

    [Fact]
    public void A_projected_update_is_orthogonal_to_every_channel()
    {
        using var scope = NewDisposeScope();
        ScaleInvariance.Find(Start, Gradients[0], 1e9, 1e-8).ShouldBe(InvariantView.Channels);
        var update = ScaleInvariance.Project(Start, Gradients[0], InvariantView.Channels, 1e-8);
        ((update * Start).sum(1).abs() / (update.square().sum(1) * Start.square().sum(1)).sqrt()).max().item<double>().ShouldBeLessThan(1e-7);
    }

    [Theory]
    [InlineData(InvariantView.Channels)]
    [InlineData(InvariantView.Whole)]
    public void Lengths_add_up_as_Pythagoras_says(InvariantView view)
    {
        using var scope = NewDisposeScope();
        var gradient = view == InvariantView.Channels ? OrthogonalRows(Gradients[0], Start) : OrthogonalWhole(Gradients[0], Start);
        ScaleInvariance.Find(Start, gradient, 1e-9, 1e-8).ShouldBe(view);
        var after = Trajectory.Once(new AdamP(0.05) { Delta = 1e-9, Epsilon = 1e-15 }, Start, gradient);
        var step = after - Start;
        long[]? dims = view == InvariantView.Channels ? [1] : [0, 1];
        after.square().sum(dims).ShouldBeNear(Start.square().sum(dims) + step.square().sum(dims), 1e-8);
    }

    [Fact]
    public void Rows_of_a_scale_invariant_loss_never_shrink_and_SGDP_lengthens_far_less_than_SGD()
    {
        using var scope = NewDisposeScope();
        var target = nn.functional.normalize(Gradients[0], dim: 1);
        foreach (UpdateRule rule in new UpdateRule[] { new AdamP(0.05), new SgdP(0.5) { Momentum = 0.9 } })
        {
            var norms = Norms(rule, target);
            norms.Zip(norms.Skip(1)).ShouldAllBe(pair => (pair.Second - pair.First * (1 - 1e-9)).min().item<double>() >= 0);
        }

        double Growth(UpdateRule rule) => Norms(rule, target)[^1].norm().item<double>() - Start.norm().item<double>();
        Growth(new SgdP(0.5) { Momentum = 0.9 }).ShouldBeLessThan(0.5 * Growth(new Sgd(0.5) { Momentum = 0.9 }));
    }

    [Theory]
    [InlineData(1 - 1e-6, InvariantView.Whole)]
    [InlineData(1 + 1e-6, InvariantView.None)]
    public void The_threshold_is_sharp(double factor, InvariantView expected)
    {
        using var scope = NewDisposeScope();
        var weight = Start.narrow(0, 0, 2);

        // Both rows have a large cosine of their own, so the whole tensor decides.
        var base_ = OrthogonalWhole(Gradients[0].narrow(0, 0, 2), weight);
        double limit = 0.1 / Math.Sqrt(16) * factor;
        var unit = base_ / base_.norm();
        var gradient = (unit * Math.Sqrt(1 - (limit * limit))) + (weight / weight.norm() * limit);
        ScaleInvariance.Find(weight, gradient, 0.1, 1e-8).ShouldBe(expected);
    }

    [Fact]
    public void Channels_are_looked_at_before_the_whole()
    {
        using var scope = NewDisposeScope();
        ScaleInvariance.Find(Start, OrthogonalRows(Gradients[0], Start), 0.1, 1e-8).ShouldBe(InvariantView.Channels);
        ScaleInvariance.Find(Start, OrthogonalWhole(Gradients[0], Start), 0.1, 1e-8).ShouldBe(InvariantView.Whole);
        ScaleInvariance.Find(Start, Start, 0.1, 1e-8).ShouldBe(InvariantView.None);
        ScaleInvariance.Find(Start, zeros_like(Start), 0.1, 1e-8).ShouldBe(InvariantView.Channels);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void SGDP_without_a_threshold_is_momentum_descent(bool nesterov)
    {
        using var scope = NewDisposeScope();
        Trajectory.Of(new SgdP(0.1) { Momentum = 0.9, Nesterov = nesterov, Delta = 0 }, Start, Gradients)
            .ShouldBeNear(Trajectory.Of(new Sgd(0.1) { Momentum = 0.9, Nesterov = nesterov }, Start, Gradients), 1e-14);
    }

    [Fact]
    public void Decay_is_smaller_where_the_projection_acts()
    {
        using var scope = NewDisposeScope();
        var gradient = OrthogonalRows(Gradients[0], Start);
        var decayed = Trajectory.Once(new AdamP(0.1) { WeightDecay = 0.5, DecayRatio = 0.2 }, Start, gradient);
        var plain = Trajectory.Once(new AdamP(0.1), Start, gradient);
        (decayed - (plain - Start)).ShouldBeNear(Start * (1 - (0.1 * 0.5 * 0.2)), 1e-14);
    }

    private static List<Tensor> Norms(UpdateRule rule, Tensor target)
    {
        using var optimizer = new Optimizer([new(rule, [Trajectory.Leaf(Start, out var weight)])]);
        var norms = new List<Tensor>();
        for (int step = 0; step < 100; step++)
        {
            norms.Add(weight.detach().norm(dim: 1, keepdim: false));
            optimizer.Reset();
            (1 - (nn.functional.normalize(weight, dim: 1) * target).sum()).backward();
            optimizer.Step(1);
        }

        return norms;
    }

    private static Tensor OrthogonalRows(Tensor x, Tensor weight) => x - (weight * ((x * weight).sum(1, keepdim: true) / weight.square().sum(1, keepdim: true)));

    private static Tensor OrthogonalWhole(Tensor x, Tensor weight) => x - (weight * ((x * weight).sum() / weight.square().sum()));
}
