using PipelineDsl.Runtime.Allocation;

namespace PipelineDsl.Runtime.Tests.Allocation;

public sealed class SensitivitySearchTests
{
    private static readonly double[] Weights = [1, 30, 4, 0.2, 9];

    [Fact]
    public void Where_errors_add_up_one_round_finds_the_optimum()
    {
        var (layers, uniform, budget) = Problem();
        var (choices, trials, _) = Search(layers, uniform, budget, sum => sum);
        var best = BudgetAllocator.Allocate(layers.Select((options, i) => (IReadOnlyList<AllocationOption>)[.. options.Select(option => option with { Distortion = option.Distortion * Weights[i] })]).ToList(), budget);
        Loss(layers, choices, sum => sum).ShouldBe(best.Distortion, 1e-12);
        trials.Single(trial => trial.Choices.SequenceEqual(choices)).Name.ShouldBe("round 1");
    }

    [Fact]
    public void A_loss_that_saturates_still_ends_no_worse_than_equal_shares_and_within_the_budget()
    {
        foreach (var shape in new Func<double, double>[] { Math.Sqrt, sum => Math.Log(1 + sum), sum => sum * sum })
        {
            var (layers, uniform, budget) = Problem();
            var (choices, trials, _) = Search(layers, uniform, budget, shape);
            Loss(layers, choices, shape).ShouldBe(trials.Min(trial => trial.LossIncrease));
            Loss(layers, choices, shape).ShouldBeLessThan(0.8 * trials[0].LossIncrease);
            trials[0].Choices.ShouldBe(uniform);
            trials.ShouldAllBe(trial => trial.Choices.Select((choice, layer) => layers[layer][choice].Cost).Sum() <= budget);
        }
    }

    [Fact]
    public void Nothing_is_measured_where_everything_may_stay()
    {
        var (layers, uniform, _) = Problem();
        var (choices, trials, _) = new SensitivitySearch(layers, 1000, _ => throw new InvalidOperationException(), _ => throw new InvalidOperationException()).From([("uniform", uniform)]);
        choices.ShouldAllBe(choice => choice == 8);
        trials.ShouldBeEmpty();
    }

    [Fact]
    public void Losses_that_are_no_numbers_and_harm_that_is_none_lead_nowhere_wrong()
    {
        var (layers, uniform, budget) = Problem();
        new SensitivitySearch(layers, budget, _ => double.NaN, _ => [.. Weights.Select(_ => double.NaN)]).From([("uniform", uniform)]).Choices.ShouldBe(uniform);
        var (choices, _, _) = new SensitivitySearch(layers, budget, choices => Loss(layers, choices, sum => sum), _ => [.. Weights.Select(_ => -1.0)]).From([("uniform", uniform)]);
        Loss(layers, choices, sum => sum).ShouldBeLessThanOrEqualTo(Loss(layers, uniform, sum => sum));
    }

    private static SensitivityResult Search(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, IReadOnlyList<int> uniform, long budget, Func<double, double> shape) =>
        new SensitivitySearch(layers, budget, choices => Loss(layers, choices, shape), choices => Parts(layers, choices, shape)).From([("uniform", uniform)]);

    /// <summary>What layers contribute along the straight way, when the loss depends on the weighted sum of errors alone.</summary>
    private static IReadOnlyList<double> Parts(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, IReadOnlyList<int> choices, Func<double, double> shape)
    {
        double sum = Loss(layers, choices, value => value);
        return [.. choices.Select((choice, i) => layers[i][choice].Distortion * Weights[i] / sum * shape(sum))];
    }

    private static double Loss(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, IReadOnlyList<int> choices, Func<double, double> shape) =>
        shape(choices.Select((choice, i) => layers[i][choice].Distortion * Weights[i]).Sum());

    private static (IReadOnlyList<IReadOnlyList<AllocationOption>> Layers, IReadOnlyList<int> Uniform, long Budget) Problem() =>
        ([.. Weights.Select((_, i) => (IReadOnlyList<AllocationOption>)[.. Enumerable.Range(0, 9).Select(choice => new AllocationOption(10 + (10 * choice), choice == 8 ? 0 : Math.Exp(-choice * (0.3 + (0.1 * i)))))])], [.. Weights.Select(_ => 3)], 5 * 40);
}
