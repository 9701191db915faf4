using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>GPTQ against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class GptqGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("quant-baselines");

    [Fact]
    public void Codes_grids_groups_and_losses_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var weight = golden["in.weight"];
        var hessian = Hessian();
        var variants = golden.Variants("out.gptq.");
        variants.ShouldNotBeEmpty();
        foreach (string variant in variants)
        {
            string prefix = $"out.gptq.{variant}.";
            var rounding = GptqRounding.Of(weight, hessian, Settings(variant, weight.shape[0], weight.shape[1]));
            rounding.Codes.to(int64).eq(golden[prefix + "codes"].to(int64)).all().item<bool>().ShouldBeTrue(variant);
            rounding.Groups.eq(golden[prefix + "g_idx"].to(int64)).all().item<bool>().ShouldBeTrue(variant);
            rounding.Zeros.to(int64).eq(golden[prefix + "zeros"].to(int64)).all().item<bool>().ShouldBeTrue(variant);
            rounding.Scales.ShouldBeNear(golden[prefix + "scales"], 1e-12);
            rounding.Loss.ShouldBe(golden.Scalar(prefix + "loss"), 1e-9 * golden.Scalar(prefix + "loss"));
            double objective = WeightedError.Energy(weight, rounding.Dequantize(), hessian) * golden["in.x"].shape[0] / 2;
            objective.ShouldBe(golden.Scalar(prefix + "objective"), 1e-9 * objective);
        }
    }

    [Fact]
    public void The_objective_is_below_that_of_rounding_to_nearest()
    {
        using var scope = NewDisposeScope();
        var weight = golden["in.weight"];
        var hessian = Hessian();
        foreach (string variant in golden.Variants("out.gptq."))
        {
            var settings = Settings(variant, weight.shape[0], weight.shape[1]);
            var nearest = RoundToNearest.Of(weight, settings.Grid, float64);
            var (scales, zeros) = (Spread(nearest.Scales, settings.Grid), nearest.Zeros is null ? null : Spread(nearest.Zeros.to(float64), settings.Grid));
            var restored = scales * (zeros is null ? nearest.Codes.to(float64) : nearest.Codes - zeros);
            WeightedError.Energy(weight, GptqRounding.Of(weight, hessian, settings).Dequantize(), hessian).ShouldBeLessThan(WeightedError.Energy(weight, restored, hessian), variant);
        }
    }

    private Tensor Hessian()
    {
        var x = golden["in.x"];
        return x.mT.mm(x) * (2.0 / x.shape[0]);
    }

    private GptqSettings Settings(string variant, long rows, long columns)
    {
        string text = golden.Setting("gptq");
        var grid = new GridGeometry(rows, columns, (int)Number(text, @"(\d+) bit"), !variant.EndsWith("_asym", StringComparison.Ordinal), Granularity.Group, golden.Integer("group_size"));
        return new(grid, float64, Number(text, @"percdamp ([\d.]*\d)"), (int)Number(text, @"block size (\d+)"), variant.Contains("actorder", StringComparison.Ordinal), variant.Contains("static", StringComparison.Ordinal));
    }

    private static double Number(string text, string pattern) => double.Parse(Regex.Match(text, pattern).Groups[1].Value, CultureInfo.InvariantCulture);

    private static Tensor Spread(Tensor perGroup, GridGeometry grid) => perGroup.to(float64).repeat_interleave(grid.GroupLength, 1).narrow(1, 0, grid.Columns);
}
