using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Runtime.Quantization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>The scale search of AWQ against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class AwqGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("quant-baselines");

    [Fact]
    public void The_error_curve_and_the_best_scales_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (golden["in.weight"], golden["in.x"]);
        var step = new Awq { Bits = int.Parse(Regex.Match(golden.Setting("awq"), @"(\d+) bit").Groups[1].Value, CultureInfo.InvariantCulture), GroupSize = golden.Integer("group_size"), GridPoints = (int)golden["out.awq.errors"].numel(), Parity = Parity.Official };
        var (scales, exponent, errors) = ActivationAware.Search(weight, x.mT.mm(x), x.abs().mean([0]), step, float64);
        (tensor(errors) / (x.shape[0] * weight.shape[0])).ShouldBeNear(golden["out.awq.errors"], 1e-9);
        exponent.ShouldBe(golden.Scalar("out.awq.best_ratio"), 1e-12);
        scales.ShouldBeNear(golden["out.awq.scales"], 1e-9);
    }

    [Fact]
    public void The_exponent_0_rounds_without_scaling()
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (golden["in.weight"], golden["in.x"]);
        var step = new Awq { GroupSize = golden.Integer("group_size"), GridPoints = 1 };
        var gram = x.mT.mm(x);
        var (scales, _, errors) = ActivationAware.Search(weight, gram, x.abs().mean([0]), step, float64);
        scales.ShouldBeNear(ones_like(scales), 1e-15);
        errors.ShouldHaveSingleItem().ShouldBe(WeightedError.Energy(weight, ActivationAware.Round(weight, step, float64).Values, gram), 1e-12);
    }
}
