using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Reconstruction;

public sealed class TrainingTests
{
    private static readonly double[] Gradients = [0.5, -1, 0.25];

    [Fact]
    public void Adam_follows_its_formula()
    {
        var rule = new Adam(0.1) { Beta1 = 0.8, Beta2 = 0.95, Epsilon = 1e-3, WeightDecay = 0.01 };
        double value = 2, mean = 0, square = 0;
        var expected = Gradients.Select((gradient, i) =>
        {
            double pull = gradient + (0.01 * value);
            mean = (0.8 * mean) + (0.2 * pull);
            square = (0.95 * square) + (0.05 * pull * pull);
            value -= 0.1 * mean / (1 - Math.Pow(0.8, i + 1)) / (Math.Sqrt(square / (1 - Math.Pow(0.95, i + 1))) + 1e-3);
            return value;
        }).ToArray();
        Steps(rule).ShouldBe(expected, 1e-12);
    }

    [Fact]
    public void RmsProp_follows_its_formula()
    {
        double value = 2, square = 0;
        var expected = Gradients.Select(gradient =>
        {
            square = (0.9 * square) + (0.1 * gradient * gradient);
            value -= 0.1 * gradient / (Math.Sqrt(square) + 1e-8);
            return value;
        }).ToArray();
        Steps(new RmsProp(0.1) { Alpha = 0.9 }).ShouldBe(expected, 1e-12);
    }

    [Fact]
    public void A_tensor_that_the_loss_does_not_depend_on_stays()
    {
        using var scope = NewDisposeScope();
        using var weight = new Free(new Adam(0.5));
        using var optimizer = new Optimizer(weight.Groups);
        optimizer.Step(1);
        weight.Value.item<double>().ShouldBe(2);
    }

    [Fact]
    public void The_start_stays_when_nothing_is_better()
    {
        using var scope = NewDisposeScope();
        using var weight = new Free(new Adam(100));
        using var start = new Dense(tensor(new[] { 1.0 }).reshape(1, 1));
        var result = LayerReconstruction.Run(weight, start, ones(1, 1, dtype: float64), ones(1, 1, dtype: float64), new() { Steps = 5 });
        result.Best.ShouldBeNull();
        result.BestStep.ShouldBe(0);
        result.BestLoss.ShouldBe(result.StartLoss);
    }

    [Fact]
    public void The_best_state_is_kept_and_not_the_last()
    {
        using var scope = NewDisposeScope();
        using var weight = new Free(new Adam(0.7));
        using var start = weight.Harden();
        var result = LayerReconstruction.Run(weight, start, ones(1, 1, dtype: float64), ones(1, 1, dtype: float64), new() { Steps = 12, Checkpoints = 12, Schedule = RateSchedule.Constant });
        double best = Math.Pow(result.Best!.Materialize().item<double>() - 1, 2);
        result.BestLoss.ShouldBe(best, 1e-12);
        result.Losses.Skip(1).Min().ShouldBe(best, 1e-12);
        result.BestLoss.ShouldBeLessThan(Math.Pow(weight.Value.item<double>() - 1, 2));
        result.Best.Dispose();
    }

    [Fact]
    public void A_loss_that_is_no_number_ends_training_with_the_best_state_and_a_note()
    {
        using var scope = NewDisposeScope();
        using var weight = new Free(new Adam(0.1)) { BreaksAt = 3 };
        using var start = weight.Harden();
        var result = LayerReconstruction.Run(weight, start, ones(1, 1, dtype: float64), ones(1, 1, dtype: float64), new() { Steps = 10, Checkpoints = 10 });
        result.Note!.ShouldContain("step 3");
        result.BestStep.ShouldBe(2);
        result.BestLoss.ShouldBeLessThan(result.StartLoss);
        result.Best!.Dispose();
    }

    [Fact]
    public void The_schedule_is_half_a_cosine()
    {
        using var scope = NewDisposeScope();
        using var weight = new Free(new RmsProp(1e-3) { Alpha = 0 });
        using var start = weight.Harden();
        var values = new List<double>();
        weight.Seen = values;
        LayerReconstruction.Run(weight, start, zeros(1, 1, dtype: float64), ones(1, 1, dtype: float64), new() { Steps = 4 }).Best!.Dispose();
        values.Zip(values.Skip(1), (a, b) => a - b).ToArray().ShouldBe([.. Enumerable.Range(0, 4).Select(t => 1e-3 * (1 + Math.Cos(Math.PI * t / 4)) / 2)], 1e-9);
    }

    private static double[] Steps(UpdateRule rule)
    {
        using var scope = NewDisposeScope();
        using var weight = new Free(rule);
        using var optimizer = new Optimizer(weight.Groups);
        return [.. Gradients.Select(gradient =>
        {
            optimizer.Reset();
            (weight.Value * gradient).backward();
            optimizer.Step(1);
            return weight.Value.item<double>();
        })];
    }

    /// <summary>A weight of one number.</summary>
    private sealed class Free : TrainableWeight
    {
        public Free(UpdateRule rule)
        {
            Value = tensor(new[] { 2.0 }).requires_grad_(true).DetachFromDisposeScope();
            Groups = [new(rule, [Value])];
        }

        public Tensor Value { get; }

        public int BreaksAt { get; init; }

        public List<double> Seen { get; set; } = [];

        public override IReadOnlyList<TrainableGroup> Groups { get; }

        private int calls;

        public override Tensor Soft()
        {
            Seen.Add(Value.item<double>());
            return ++calls == BreaksAt ? Value.reshape(1, 1) * double.NaN : Value.reshape(1, 1);
        }

        public override void AfterStep(int step, int steps)
        {
            if (step == steps)
            {
                Seen.Add(Value.item<double>());
            }
        }

        public override Expression Harden() => new Dense(Value.detach().clone().reshape(1, 1));
    }
}
