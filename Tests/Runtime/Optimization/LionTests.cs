using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

public sealed class LionTests
{
    private static readonly Lion Plain = new(0.01) { WeightDecay = 0.5 };

    public static TheoryData<LionMap> Maps => [.. Enum.GetValues<LionMap>()];

    [Fact]
    public void Beside_decay_every_entry_moves_by_the_rate_or_not_at_all()
    {
        using var scope = NewDisposeScope();
        var gradients = Gradients(12);
        gradients[0, 3] = 0;
        var values = Trajectory.Of(Plain, Start, gradients);
        var before = cat([Start.unsqueeze(0), values.narrow(0, 0, 11)]);
        var moves = (values - (before * (1 - 0.005))).abs();
        minimum(moves, (moves - 0.01).abs()).max().item<double>().ShouldBeLessThan(1e-15);
        moves[0, 3].max().item<double>().ShouldBeLessThan(1e-15);
    }

    [Fact]
    public void Eightfold_gradients_change_nothing()
    {
        using var scope = NewDisposeScope();
        Compare.SameBits(Trajectory.Of(Plain, Start, Gradients(12)), Trajectory.Of(Plain, Start, Gradients(12) * 8)).ShouldBeTrue();
    }

    [Fact]
    public void Weights_are_drawn_into_the_box_of_the_decay_and_stay_there()
    {
        using var scope = NewDisposeScope();
        var outside = Start * 30;
        var values = Trajectory.Of(Plain, outside, Gradients(400));
        double start = (outside.abs().max().item<double>() - 2);
        for (int step = 0; step < 400; step++)
        {
            Math.Max(0, values[step].abs().max().item<double>() - 2).ShouldBeLessThanOrEqualTo((Math.Pow(1 - 0.005, step + 1) * start) + 1e-12);
        }

        Trajectory.Of(Plain, Start.clamp(-2, 2), Gradients(400)).abs().max().item<double>().ShouldBeLessThanOrEqualTo(2 + 1e-12);
    }

    [Theory]
    [InlineData(1e-3)]
    [InlineData(1e-4)]
    public void A_long_run_ends_where_the_constrained_problem_does(double rate)
    {
        using var scope = NewDisposeScope();
        var target = tensor(new[] { 0.4, -0.7, 5, -3, 0.1 }, dtype: float64);
        using var optimizer = new Optimizer([new(new Lion(rate) { WeightDecay = 1 }, [Trajectory.Leaf(zeros(5, dtype: float64), out var x)])]);
        for (int step = 0; step < 20 / rate; step++)
        {
            using var inner = NewDisposeScope();
            x.grad = x.detach() - target;
            optimizer.Step(1);
        }

        // Inside the box signs make it swing by some steps of the momentum's memory; that vanishes with the rate.
        (x.detach() - target.clamp(-1, 1)).abs().max().item<double>().ShouldBeLessThan(300 * rate);
        var gradient = x.detach() - target;
        var bound = target.abs() > 1;
        (x.detach().abs() >= 1 - (10 * rate)).eq(bound).all().item<bool>().ShouldBeTrue();
        (gradient.sign().eq(-x.detach().sign()) | ~bound).all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void In_their_limits_the_maps_become_others()
    {
        using var scope = NewDisposeScope();
        var x = Start;
        var signs = x.sign();
        new Lion(1) { Map = LionMap.Huber, Width = 1e-9 }.Direction(x).ShouldBeNear(signs, 1e-12);
        new Lion(1) { Map = LionMap.Relativistic, Width = 1e-9 }.Direction(x).ShouldBeNear(signs, 1e-12);
        new Lion(1) { Map = LionMap.Dead, Width = 0 }.Direction(x).ShouldBeNear(signs, 0);
        new Lion(1) { Map = LionMap.TopK, Largest = (int)x.numel() }.Direction(x).ShouldBeNear(signs, 0);
        new Lion(1) { Map = LionMap.Lp, Power = 1 + 1e-12 }.Direction(x).ShouldBeNear(signs, 1e-9);
        new Lion(1) { Map = LionMap.Lp, Power = 2 }.Direction(x).ShouldBeNear(new Lion(1) { Map = LionMap.L2 }.Direction(x), 1e-12);
        var column = x.flatten().unsqueeze(1);
        new Lion(1) { Map = LionMap.Nuclear }.Direction(column).ShouldBeNear(new Lion(1) { Map = LionMap.L2 }.Direction(column), 1e-12);
    }

    [Theory]
    [MemberData(nameof(Maps))]
    public void The_map_meets_Fenchel_s_equality(LionMap map)
    {
        using var scope = NewDisposeScope();
        var rule = new Lion(1) { Map = map, Width = 0.3, Power = 1.5, Largest = 4 };
        var direction = rule.Direction(Start);
        double product = (Start * direction).sum().item<double>();
        (LionFunctions.Value(rule, Start) + LionFunctions.Conjugate(rule, direction)).ShouldBe(product, 1e-12 * Math.Abs(product));
    }

    [Theory]
    [MemberData(nameof(Maps))]
    public void Zero_maps_to_zero_and_only_decay_is_left(LionMap map)
    {
        using var scope = NewDisposeScope();
        Trajectory.Once(Plain with { Map = map }, Start, zeros_like(Start)).ShouldBeNear(Start * (1 - 0.005), 1e-15);
    }

    [Fact]
    public void Equal_betas_step_along_the_new_momentum()
    {
        using var scope = NewDisposeScope();
        var rule = Plain with { Beta1 = 0.9, Beta2 = 0.9 };
        var gradients = Gradients(6);
        var (momentum, value) = (zeros_like(Start), Start.clone());
        for (int step = 0; step < 6; step++)
        {
            momentum = (momentum * 0.9) + (gradients[step] * 0.1);
            value = (value * (1 - 0.005)) - (momentum.sign() * 0.01);
        }

        Trajectory.Of(rule, Start, gradients)[-1].ShouldBeNear(value, 1e-14);
    }

    [Fact]
    public void Rows_have_norms_and_largest_entries_of_their_own_on_request()
    {
        using var scope = NewDisposeScope();
        new Lion(1) { Map = LionMap.L2, ByRow = true }.Direction(Start).square().sum(1).ShouldBeNear(ones(6, dtype: float64), 1e-12);
        new Lion(1) { Map = LionMap.TopK, Largest = 2, ByRow = true }.Direction(Start).abs().sum(1).ShouldBeNear(full(6, 2.0, dtype: float64), 0);
        new Lion(1) { Map = LionMap.TopK, Largest = 2 }.Direction(ones(5, dtype: float64)).ShouldBeNear(tensor(new[] { 1.0, 1, 0, 0, 0 }), 0);
    }

    [Fact]
    public void A_decay_that_oscillates_and_a_vector_for_a_map_of_matrices_are_refused()
    {
        using var scope = NewDisposeScope();
        Should.Throw<InvalidOperationException>(() => Trajectory.Once(new Lion(0.5) { WeightDecay = 2 }, Start, Start)).Message.ShouldContain("below 1");
        Should.Throw<InvalidOperationException>(() => Trajectory.Once(new Lion(0.5) { Map = LionMap.Nuclear }, ones(3), ones(3))).Message.ShouldContain("matrices");
    }

    private static Tensor Start => randn(6, 5, dtype: float64, generator: new Generator(1));

    private static Tensor Gradients(long steps) => randn(steps, 6, 5, dtype: float64, generator: new Generator(2));
}
