using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Tests.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Lion against the official code; the maps of Lion-K and its Lyapunov function against the reference.</summary>
[Trait("Category", "Golden")]
public sealed class LionGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("lion");

    public static TheoryData<LionMap> Maps => [.. Enum.GetValues<LionMap>()];

    [Theory]
    [InlineData("vec")]
    [InlineData("mat")]
    [InlineData("conv")]
    public void Lion_goes_the_official_way(string name)
    {
        using var scope = NewDisposeScope();
        var (values, state) = Trajectory.Run(Rule(LionMap.Sign), golden[$"in.{name}.w0"], golden[$"in.{name}.grad"]);
        values.ShouldBeNear(golden[$"out.{name}.lion.w"], 1e-13);
        state["0.momentum"].ShouldBeNear(golden[$"out.{name}.lion.exp_avg"], 1e-13);
    }

    [Theory]
    [MemberData(nameof(Maps))]
    public void Every_map_goes_the_reference_s_way(LionMap map)
    {
        using var scope = NewDisposeScope();
        string name = map == LionMap.Sign ? "lion" : map.ToString().ToLowerInvariant();
        Trajectory.Of(Rule(map), golden["in.mat.w0"], golden["in.mat.grad"]).ShouldBeNear(golden[$"out.mat.{name}.w"], 1e-10);
    }

    [Theory]
    [MemberData(nameof(Maps))]
    public void The_Lyapunov_function_equals_the_reference_and_rises_by_no_more_than_smoothness_allows(LionMap map)
    {
        using var scope = NewDisposeScope();
        string name = map.ToString().ToLowerInvariant();
        var rule = Rule(map) with
        {
            LearningRate = golden.Number("lyap_lr"),
            Beta1 = golden.Number("lyap_beta1"),
            Beta2 = golden.Number("lyap_beta2"),
            WeightDecay = golden.Number("lyap_weight_decay"),
            Width = golden.Number("lyap_e"),
        };
        var (a, centre) = (golden["in.lyap.A"], golden["in.lyap.c"]);
        double smoothness = linalg.eigvalsh(a)[-1].item<double>();
        double Loss(Tensor x) => ((x - centre) * a.mm(x - centre)).sum().item<double>() / 2;
        using var optimizer = new Optimizer([new(rule, [Trajectory.Leaf(golden[$"in.lyap.{name}.x0"], out var x)])]);
        int steps = golden.Integer("lyap_steps");
        double before = LionFunctions.Energy(rule, x.detach(), zeros_like(x), Loss(x.detach()));
        var sampled = new List<double> { before };
        int falls = 0;
        for (int step = 1; step <= steps; step++)
        {
            using var inner = NewDisposeScope();
            var last = x.detach().clone();
            x.grad = a.mm(last - centre);
            optimizer.Step(1);
            var now = x.detach();
            double energy = LionFunctions.Energy(rule, now, optimizer.State()["0.momentum"], Loss(now));
            energy.ShouldBeLessThanOrEqualTo(before + (smoothness / 2 * (now - last).square().sum().item<double>()) + 1e-10);
            falls += energy < before ? 1 : 0;
            before = energy;
            if (step % golden.Integer("lyap_stride") == 0)
            {
                sampled.Add(energy);
            }
        }

        sampled.ToArray().ShouldBeNear(golden[$"out.lyap.{name}.H"], 1e-8);
        x.detach().ShouldBeNear(golden[$"out.lyap.{name}.x_final"], 1e-7);
        falls.ShouldBeGreaterThanOrEqualTo((int)(0.99 * steps));
    }

    private Lion Rule(LionMap map) => new(golden.Number("lr"))
    {
        Beta1 = golden.Number("beta1"),
        Beta2 = golden.Number("beta2"),
        WeightDecay = golden.Number("weight_decay"),
        Map = map,
        Width = golden.Number("kappa_e"),
        Power = golden.Number("kappa_p"),
        Largest = golden.Integer("kappa_topk"),
    };
}
