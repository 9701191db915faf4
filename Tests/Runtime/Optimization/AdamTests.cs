using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

public sealed class AdamTests
{
    public static TheoryData<string> Rules => [.. Every.Keys];

    private static Dictionary<string, UpdateRule> Every => new(StringComparer.Ordinal)
    {
        ["adam"] = new Adam(0.01) { WeightDecay = 0.1 },
        ["adamW"] = new AdamW(0.01) { WeightDecay = 0.1 },
        ["adamW, 8 bits"] = new AdamW(0.01) { WeightDecay = 0.1, EightBitState = true },
        ["sgd"] = new Sgd(0.01) { Momentum = 0.9 },
        ["rmsProp"] = new RmsProp(0.01),
        ["lion"] = new Lion(0.01) { WeightDecay = 0.1 },
        ["adamP"] = new AdamP(0.01) { WeightDecay = 0.1 },
        ["sgdP"] = new SgdP(0.01) { Momentum = 0.9 },
        ["dctAdamW"] = new DctAdamW(0.01) { Rank = 5, Gap = 3, ErrorFeedback = ErrorFeedback.Int8 },
        ["galore"] = new GaLore(0.01) { Rank = 5, Gap = 3 },
    };

    [Fact]
    public void A_constant_gradient_moves_by_the_rate_in_every_step()
    {
        using var scope = NewDisposeScope();
        var values = Trajectory.Of(new AdamW(0.03) { Epsilon = 0 }, zeros(4, dtype: float64), full([20, 4], -2.5, dtype: float64));
        values.diff(dim: 0).ShouldBeNear(full([19, 4], 0.03, dtype: float64), 1e-12);
    }

    [Fact]
    public void Decay_alone_shrinks_by_the_scheduled_rates()
    {
        using var scope = NewDisposeScope();
        var schedule = new LearningSchedule(TrainingSchedule.Linear, 12) { WarmUp = 3 };
        var values = Trajectory.Of(new AdamW(0.1) { WeightDecay = 0.3 }, ones(3, dtype: float64), zeros(12, 3, dtype: float64), schedule.At);
        double expected = Enumerable.Range(0, 12).Aggregate(1.0, (product, step) => product * (1 - (0.03 * schedule.At(step))));
        values[-1].ShouldBeNear(full(3, expected, dtype: float64), 1e-14);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_restored_state_goes_on_bit_for_bit(string name)
    {
        using var scope = NewDisposeScope();
        var rule = Every[name];
        var start = randn(80, 60, dtype: float32, generator: new Generator(1));
        var gradients = randn(9, 80, 60, dtype: float32, generator: new Generator(2));
        var unbroken = Trajectory.Of(rule, start, gradients);
        var (first, state) = Trajectory.Run(rule, start, gradients.narrow(0, 0, 5));
        using var optimizer = new Optimizer([new(rule, [Trajectory.Leaf(first[-1], out var value)])]);
        optimizer.Restore(state);
        for (int step = 5; step < 9; step++)
        {
            value.grad = gradients[step].clone();
            optimizer.Step(1);
        }

        Compare.SameBits(value.detach(), unbroken[-1]).ShouldBeTrue();
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_tensor_without_a_gradient_stays_as_it_is_and_steps_leave_nothing_alive(string name)
    {
        using var scope = NewDisposeScope();
        using var optimizer = new Optimizer([new(Every[name], [Trajectory.Leaf(ones(70, 60), out var moved), Trajectory.Leaf(ones(2, 3), out var still)])]);
        moved.grad = randn(70, 60, generator: new Generator(3));
        optimizer.Step(1);
        still.detach().ShouldBeNear(ones(2, 3), 0);
        moved.detach().eq(1).all().item<bool>().ShouldBeFalse();
        optimizer.State().Keys.ShouldAllBe(key => key.StartsWith("0.", StringComparison.Ordinal));
        optimizer.Step(1);
        Formats.TensorCount.GrowthOf(() => optimizer.Step(1)).ShouldBe(0);
    }

    [Fact]
    public void A_state_of_other_tensors_is_refused()
    {
        using var scope = NewDisposeScope();
        using var optimizer = new Optimizer([new(new AdamW(0.1), [Trajectory.Leaf(ones(2), out _)])]);
        Should.Throw<InvalidDataException>(() => optimizer.Restore(new Dictionary<string, Tensor> { ["1.mean"] = zeros(2) })).Message.ShouldContain("1.mean");
    }

    [Fact]
    public void Decay_is_that_of_each_group()
    {
        using var scope = NewDisposeScope();
        var leaves = new[] { Trajectory.Leaf(ones(3, dtype: float64), out var decayed), Trajectory.Leaf(ones(3, dtype: float64), out var kept) };
        foreach (UpdateRule rule in new UpdateRule[] { new AdamW(0.1), new SgdP(0.1), new Lion(0.1) })
        {
            using var optimizer = new Optimizer([new(rule with { WeightDecay = 0.5 }, [decayed]), new(rule, [kept])]);
            foreach (var leaf in leaves)
            {
                leaf.grad = zeros(3, dtype: float64);
            }

            optimizer.Step(1);
        }

        kept.detach().ShouldBeNear(ones(3, dtype: float64), 0);
        decayed.detach().ShouldBeNear(full(3, Math.Pow(0.95, 3), dtype: float64), 1e-14);
    }

    [Fact]
    public void Clipping_shortens_all_gradients_together_and_keeps_their_direction()
    {
        using var scope = NewDisposeScope();
        using var optimizer = new Optimizer([new(new AdamW(0.1), [Trajectory.Leaf(zeros(5), out var a), Trajectory.Leaf(zeros(2, 3), out var b)])]);
        (a.grad, b.grad) = (randn(5, generator: new Generator(1)) * 4, randn(2, 3, generator: new Generator(2)) * 4);
        var before = cat([a.grad!.flatten(), b.grad!.flatten()]).clone();
        optimizer.Clip(1).ShouldBe(before.norm().item<float>(), 1e-4);
        var after = cat([a.grad!.flatten(), b.grad!.flatten()]);
        after.norm().item<float>().ShouldBe(1, 1e-5);
        nn.functional.cosine_similarity(before, after, 0).item<float>().ShouldBe(1, 1e-6);
        optimizer.Clip(2).ShouldBe(1, 1e-5);
        cat([a.grad!.flatten(), b.grad!.flatten()]).ShouldBeNear(after, 0);
        a.grad![0] = float.NaN;
        double.IsNaN(optimizer.Clip(1)).ShouldBeTrue();
        b.grad!.isfinite().all().item<bool>().ShouldBeTrue();
    }

    [Theory]
    [InlineData(TrainingSchedule.Linear)]
    [InlineData(TrainingSchedule.Cosine)]
    [InlineData(TrainingSchedule.Wsd)]
    public void A_schedule_is_full_after_the_warm_up_and_falls_to_its_floor(TrainingSchedule shape)
    {
        var schedule = new LearningSchedule(shape, 50) { WarmUp = 7, Decay = 10, Floor = 0.2 };
        schedule.At(0).ShouldBe(0);
        (schedule with { StartsAboveZero = true }).At(0).ShouldBe(1.0 / 7);
        schedule.At(7).ShouldBe(1);
        schedule.At(50).ShouldBe(0.2, 1e-12);
        schedule.At(60).ShouldBe(0.2, 1e-12);
        Enumerable.Range(7, 50).ShouldAllBe(step => schedule.At(step + 1) <= schedule.At(step) + 1e-15);
    }
}
