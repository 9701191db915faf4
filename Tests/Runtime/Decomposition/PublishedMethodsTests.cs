using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Golden;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Decomposition;

/// <summary>ASVD, SVD-LLM, LoRD and FWSVD through their steps.</summary>
public sealed class PublishedMethodsTests
{
    public static TheoryData<string> Words => ["asvd", "svdLlm", "lord", "fwsvd"];

    [Fact]
    [Trait("Category", "Golden")]
    public void Asvd_and_svd_llm_give_the_golden_weights()
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("svd-baselines");
        var problem = new LayerProblem("fc", new Dense(golden["in.weight"]), null, LayerProblems.Collect(golden["in.weight"].shape[0], golden["in.samples"]), 0);
        int rank = golden.Integer("rank");
        Solve(problem, new Asvd { Rank = rank, Alpha = golden.Number("alpha") }).Weight.Materialize().ShouldBeNear(golden["out.asvd.weight"], 1e-8);
        var whitened = Solve(problem, new SvdLlm { Rank = rank });
        whitened.Weight.Materialize().ShouldBeNear(golden["out.svdllm.weight"], 1e-7);
        double tokens = golden["in.samples"].numel() / golden["in.weight"].shape[1];
        Math.Sqrt(whitened.Facts["predictedLoss"] * tokens).ShouldBeNear(golden.Scalar("out.svdllm.act_loss"), 1e-8);
    }

    [Fact]
    [Trait("Category", "Golden")]
    public void Lord_gives_the_golden_weight_bias_and_loss_with_and_without_centring()
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("lord");
        foreach (bool center in new[] { true, false })
        {
            string prefix = center ? "out.centered." : "out.raw.";
            var problem = new LayerProblem("fc", new Dense(golden["in.weight"]), golden["in.bias"], LayerProblems.Collect(golden["in.weight"].shape[0], golden["in.x"].unsqueeze(0)), 0);
            var solution = Solve(problem, new Lord { Rank = golden.Integer("rank"), Center = center });
            solution.Weight.Materialize().ShouldBeNear(golden[prefix + "weight"], 1e-7);
            solution.Facts["predictedLoss"].ShouldBeNear(golden.Scalar(prefix + "mse"), 1e-8);
            (solution.Bias is null).ShouldBe(!center);
            solution.Bias?.ShouldBeNear(golden[prefix + "bias"], 1e-7);
        }
    }

    [Fact]
    [Trait("Category", "Golden")]
    public void Fwsvd_gives_the_golden_factors_and_loss_on_each_axis()
    {
        using var scope = NewDisposeScope();
        var golden = GoldenFile.Open("fwsvd");
        var fisher = golden["out.fisher"];
        var problem = new LayerProblem("fc", new Dense(golden["in.weight"]), null, new LayerStatistics { Fisher = new(1, fisher.sum(1), fisher.sum([0])) }, 0);
        foreach (var axis in Enum.GetValues<FisherAxis>().Where(axis => golden.Has(Prefix(axis) + "weight")))
        {
            var solution = Solve(problem, new Fwsvd { Rank = golden.Integer("rank"), Axis = axis, Floor = golden.Number("floor_rel") });
            var product = solution.Weight.ShouldBeOfType<Product>();
            product.Left.Materialize().ShouldBeNear(golden[Prefix(axis) + "B"], 1e-7);
            product.Right.Materialize().ShouldBeNear(golden[Prefix(axis) + "A"], 1e-7);
            solution.Facts["predictedLoss"].ShouldBeNear(golden.Scalar(Prefix(axis) + "weighted_loss"), 1e-8);
        }

        static string Prefix(FisherAxis axis) => $"out.{SettingDescriptor.Format(axis)}.";
    }

    [Fact]
    public void Asvd_with_a_flat_exponent_is_plain_svd_and_its_scalings_differ()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(14, 10, LayerProblems.Inputs(10), float64);
        var plain = Solve(problem, new Decompose { Rank = 4 }).Weight.Materialize();
        Solve(problem, new Asvd { Rank = 4, Alpha = 0 }).Weight.Materialize().ShouldBeNear(plain, 1e-10);
        var scale = problem.Statistics.InputMagnitudes!.Largest.sqrt() + 1e-6;
        var largest = Solve(problem, new Asvd { Rank = 4, Scaling = ActivationScaling.AbsMax });
        ((problem.Weight.Materialize() - largest.Weight.Materialize()) * scale).square().sum().item<double>().ShouldBeNear(largest.Facts["predictedLoss"], 1e-9);
    }

    [Fact]
    public void Ranks_follow_the_papers()
    {
        var shape = new LayerShape(LayerKinds.Linear, 48, 64);
        new Asvd { KeepRatio = 0.5, RankAlign = 8 }.RankFor(shape).ShouldBe(16);
        new Lord { RankReduction = 0.5 }.RankFor(shape).ShouldBe(24);
        new Lord { RankReduction = 0.5, RankMultiple = 16 }.RankFor(shape).ShouldBe(16);
        new Lord { RankReduction = 0.5, RankMultiple = 16 }.Resolve(shape).ShouldBe(new Lord { Rank = 16, RankMultiple = 16 });
        new Lord { RankReduction = 0.5, Rank = 3 }.Check(shape, new HashSet<string>()).ShouldHaveSingleItem().Message.ShouldContain("'rank' and 'rankReduction' both choose the rank");
        new SvdLlm { Rank = 3, Orientation = Orientation.Context }.Check(shape, new HashSet<string>()).ShouldHaveSingleItem().Message.ShouldContain("whitened orientation only");
    }

    [Theory]
    [MemberData(nameof(Words))]
    public void Missing_or_broken_statistics_are_refused_and_nothing_stays_alive(string word)
    {
        using var scope = NewDisposeScope();
        var step = (Decompose)StepCatalog.Find(word)!.Create();
        step.Rank = 3;
        var problem = LayerProblems.Make(12, 8, LayerProblems.Inputs(8));
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Solve(problem, step);
        first.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
        Should.Throw<InvalidOperationException>(() => Solve(problem with { Statistics = LayerStatistics.None }, step)).Message.ShouldContain("collected");
        var silent = Solve(problem with { Statistics = LayerProblems.Silent(12, 8) }, step);
        silent.Weight.Materialize().isfinite().all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void A_large_layer_is_iterated_for_and_says_how_good_it_is()
    {
        using var scope = NewDisposeScope();
        var spectrum = pow(arange(1, 1025, dtype: float64), -1);
        var weight = linalg.qr(LayerProblems.Weight(1024, 1024)).Q * spectrum;
        var problem = new LayerProblem("fc", new Dense(weight), null, LayerStatistics.None, 7);
        var solution = Solve(problem, new Decompose { Rank = 16, Accuracy = SvdAccuracy.Fast });
        double optimum = spectrum.narrow(0, 16, 1008).square().sum().item<double>();
        solution.Facts["certifiedExcess"].ShouldBeInRange(solution.Facts["predictedLoss"] / optimum - 1, 0.01);
        solution.Spectrum.Count.ShouldBe(16);
    }

    private static LayerSolution Solve(LayerProblem problem, Step step) => SolverCatalog.For(step).Solve(problem, step);
}
