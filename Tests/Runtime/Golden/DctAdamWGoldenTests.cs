using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Tests.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>DCT-AdamW and GaLore against the official code, as repaired by the reference.</summary>
[Trait("Category", "Golden")]
public sealed class DctAdamWGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("dct-adamw");

    [Theory]
    [InlineData("tall")]
    [InlineData("wide")]
    public void Every_setting_goes_the_reference_s_way(string shape)
    {
        using var scope = NewDisposeScope();
        var official = Rule with { Norm = 1, Basis = CosineBasis.Dct3 };
        var settings = new Dictionary<string, DctAdamW>
        {
            ["base"] = official,
            ["l2gap3"] = official with { Norm = 2, Gap = 3 },
            ["norot"] = official with { Rotate = false },
            ["makhoul"] = official with { Basis = CosineBasis.Dct2 },
            ["ef"] = official with { ErrorFeedback = ErrorFeedback.Full },
            ["ef8"] = official with { ErrorFeedback = ErrorFeedback.Int8 },
        };
        foreach (var (name, rule) in settings)
        {
            var (values, state) = Trajectory.Run(rule, golden[$"in.{shape}.w0"], golden[$"in.{shape}.grad"]);
            values.index_select(0, Saved).ShouldBeNear(golden[$"out.{shape}.{name}.w"], 1e-10);
            state["0.indices"].to(int64).ShouldBeNear(golden[$"out.{shape}.{name}.indices"][-1], 0);
            foreach (var (own, reference) in new[] { ("mean", "exp_avg"), ("square", "exp_avg_sq"), ("error", "error") })
            {
                if (golden.Has($"out.{shape}.{name}.{reference}"))
                {
                    var mine = state["0." + own];
                    (shape == "wide" && own != "error" ? mine.mT : mine).ShouldBeNear(golden[$"out.{shape}.{name}.{reference}"], 1e-10);
                }
            }
        }
    }

    [Theory]
    [InlineData("tall")]
    [InlineData("wide")]
    public void The_squared_norm_chooses_what_the_reference_chooses(string shape)
    {
        using var scope = NewDisposeScope();
        var gradient = golden[$"in.{shape}.grad"][0];
        var work = shape == "tall" ? gradient : gradient.mT;
        var (_, state) = Trajectory.Run(Rule with { Norm = 2, Basis = CosineBasis.Dct3 }, golden[$"in.{shape}.w0"], gradient.unsqueeze(0));
        var chosen = DctBasis.Of(work.shape[1], float64, CPU).index_select(1, state["0.indices"].to(int64));
        double residual = (work - work.mm(chosen).mm(chosen.mT)).square().sum().item<double>();
        double[] expected = [golden.Scalar($"out.{shape}.residual_l2select_step1"), golden.Scalar($"out.{shape}.residual_svd_step1")];
        Math.Min(Math.Abs(residual - expected[0]), Math.Abs(Math.Sqrt(residual) - expected[0])).ShouldBeLessThan(1e-10 * residual);
        var values = linalg.svdvals(work);
        double tail = values.narrow(0, Rule.Rank, values.shape[0] - Rule.Rank).square().sum().item<double>();
        tail.ShouldBeLessThanOrEqualTo(residual);
        Math.Min(Math.Abs(tail - expected[1]), Math.Abs(Math.Sqrt(tail) - expected[1])).ShouldBeLessThan(1e-10 * tail);
    }

    [Theory]
    [InlineData("tall")]
    [InlineData("wide")]
    public void GaLore_goes_the_official_way(string shape)
    {
        using var scope = NewDisposeScope();
        var rule = new GaLore(golden.Number("lr"))
        {
            Beta1 = golden.Number("beta1"),
            Beta2 = golden.Number("beta2"),
            Epsilon = golden.Number("galore_eps"),
            WeightDecay = golden.Number("weight_decay"),
            Rank = golden.Integer("rank"),
            Gap = golden.Integer("galore_gap"),
            Scale = golden.Number("galore_scale"),
        };
        Trajectory.Of(rule, golden[$"in.{shape}.w0"], golden[$"in.{shape}.grad"]).index_select(0, Saved).ShouldBeNear(golden[$"out.{shape}.galore.w"], 1e-10);
    }

    [Theory]
    [InlineData("vec")]
    [InlineData("conv")]
    public void What_is_no_matrix_is_moved_by_AdamW(string shape)
    {
        using var scope = NewDisposeScope();
        Trajectory.Of(Rule, golden[$"in.{shape}.w0"], golden[$"in.{shape}.grad"]).index_select(0, Saved).ShouldBeNear(golden[$"out.{shape}.w"], 1e-12);
    }

    [Fact]
    public void The_basis_and_its_fast_transform_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        foreach (string size in golden.Variants("out.dct3_basis."))
        {
            DctBasis.Of(long.Parse(size, System.Globalization.CultureInfo.InvariantCulture), float64, CPU).ShouldBeNear(golden[$"out.dct3_basis.{size}"], 1e-12);
            DctBasis.Makhoul(golden[$"in.dct_x.{size}"]).ShouldBeNear(golden[$"out.dct2_makhoul.{size}"], 1e-12);
        }
    }

    private Tensor Saved => tensor(golden.Setting("saved_steps").Split(',').Select(text => long.Parse(text, System.Globalization.CultureInfo.InvariantCulture) - 1).ToArray());

    private DctAdamW Rule => new(golden.Number("lr"))
    {
        Beta1 = golden.Number("beta1"),
        Beta2 = golden.Number("beta2"),
        Epsilon = golden.Number("eps"),
        WeightDecay = golden.Number("weight_decay"),
        Rank = golden.Integer("rank"),
    };
}
