using PipelineDsl.Runtime.Allocation;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Rate-distortion curves and the allocator against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class RdPruningGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("rd-pruning");
    private readonly Tensor[] weights;
    private readonly DistortionCurve curves;
    private readonly int resolution;

    public RdPruningGoldenTests()
    {
        weights = [.. Enumerable.Range(0, golden.Integer("layers")).Select(layer => golden[$"in.W{layer}"])];
        resolution = golden.Integer("S");
        curves = new(weights, resolution, Forward);
    }

    public static TheoryData<string> Modes => [.. GoldenFile.Open("rd-pruning").Variants("out.curve.")];

    [Fact]
    public void The_network_is_the_reference_network()
    {
        Forward().ShouldBeNear(golden["out.Y"], 1e-12);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void Curves_and_kept_weights_are_reproduced(string mode)
    {
        var measured = curves.Measure(Reduction(mode));
        var expected = golden["out.curve." + mode];
        for (int layer = 0; layer < weights.Length; layer++)
        {
            measured[layer][0].Distortion.ShouldBe(0);
            measured[layer].Select(option => option.Distortion).ToArray().ShouldBeNear(expected[layer], 1e-10);
            measured[layer].Select(option => option.Cost).ShouldBe(golden["out.kept_table"][layer].data<long>().ToArray());
            weights[layer].ShouldBeNear(golden[$"in.W{layer}"], 0);
        }
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void The_choice_is_the_optimum_and_no_worse_than_the_official_one(string mode)
    {
        var layers = curves.Measure(Reduction(mode));
        long budget = long.Parse(golden.Setting("weight_budget"), System.Globalization.CultureInfo.InvariantCulture);
        var allocation = BudgetAllocator.Allocate(layers, budget);
        allocation.Choices.Select(choice => (long)choice).ShouldBe(golden[$"out.{mode}.choice"].data<long>().ToArray());
        allocation.Cost.ShouldBe(golden[$"out.{mode}.kept"].sum().item<long>());
        allocation.Distortion.ShouldBeNear(golden.Scalar($"out.{mode}.predicted"), 1e-9);
        curves.Joint(allocation.Choices, Reduction(mode)).ShouldBeNear(golden.Scalar($"out.{mode}.joint"), 1e-9);

        int[] official = [.. golden[$"out.{mode}.official_choice"].data<long>().ToArray().Select(choice => (int)choice)];
        if (official.Select((choice, layer) => layers[layer][choice].Cost).Sum() <= budget)
        {
            allocation.Distortion.ShouldBeLessThanOrEqualTo(official.Select((choice, layer) => layers[layer][choice].Distortion).Sum() + 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void Everything_is_kept_or_pruned_where_the_budget_says_so(string mode)
    {
        var layers = curves.Measure(Reduction(mode));
        var all = BudgetAllocator.Allocate(layers, weights.Sum(weight => weight.numel()));
        all.LowerBound.ShouldBeLessThanOrEqualTo(1e-12);
        BudgetAllocator.Allocate(layers, 0).Choices.ShouldAllBe(choice => choice == resolution);
        if (layers.All(curve => curve.Skip(1).All(option => option.Distortion > 0)))
        {
            all.Choices.ShouldAllBe(choice => choice == 0);
            all.Distortion.ShouldBe(0);
        }
    }

    [Fact]
    public void The_byte_problem_is_solved()
    {
        var cost = golden["in.opt.cost"];
        var distortion = golden["in.opt.dist"];
        AllocationOption[][] layers = [.. Enumerable.Range(0, (int)cost.shape[0]).Select(layer => Enumerable.Range(0, (int)cost.shape[1])
            .Select(option => new AllocationOption(cost[layer, option].item<long>(), distortion[layer, option].item<double>())).ToArray())];
        var allocation = BudgetAllocator.Allocate(layers, golden["in.opt.budget"].sum().item<long>());
        allocation.Choices.Select(choice => (long)choice).ShouldBe(golden["out.opt.choice"].data<long>().ToArray());
        allocation.Distortion.ShouldBeNear(golden.Scalar("out.opt.total"), 1e-12);
    }

    private static DistortionReduction Reduction(string mode) => mode == "mean" ? DistortionReduction.Mean : DistortionReduction.WorstCase;

    private Tensor Forward()
    {
        var x = golden["in.X"];
        for (int layer = 0; layer < weights.Length; layer++)
        {
            x = nn.functional.linear(x, weights[layer], golden[$"in.b{layer}"]);
            x = layer + 1 < weights.Length ? x.relu() : x;
        }

        return x;
    }
}
