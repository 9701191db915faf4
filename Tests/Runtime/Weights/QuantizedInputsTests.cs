using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

public sealed class QuantizedInputsTests
{
    public static TheoryData<DynamicFormat> Formats => [.. Enum.GetValues<DynamicFormat>()];

    [Theory]
    [MemberData(nameof(Formats))]
    public void The_weight_sees_rounded_inputs(DynamicFormat format)
    {
        using var scope = NewDisposeScope();
        using var form = new QuantizedInputs(new(format, 4), Forms.Dense(7, 11));
        form.IsLinear.ShouldBeFalse();
        foreach (var dtype in new[] { float32, float64 })
        {
            var x = Forms.Random([2, 3, 11], dtype);
            var y = form.Apply(x);
            y.dtype.ShouldBe(dtype);
            y.ShouldBeNear(form.Inputs.Round(x).matmul(form.Materialize().to(dtype).mT), 2e-6);
            Compare.Norm(y - x.matmul(form.Materialize().to(dtype).mT)).ShouldBeGreaterThan(1e-3);
        }
    }

    [Fact]
    public void An_offset_makes_room_for_unsigned_codes_and_is_taken_off_again()
    {
        using var scope = NewDisposeScope();
        var x = Forms.Random([5, 11], float64);
        using var form = new QuantizedInputs(new(DynamicFormat.Int4Unsigned, 4), Forms.Dense(7, 11, float64), full(11, 10.0, dtype: float64));
        var inputs = form.Round(x);
        ((inputs - x).abs() <= (x.abs().max() + 10) / 15 / 2).all().item<bool>().ShouldBeTrue();
        form.Apply(x).ShouldBeNear(inputs.matmul(form.Materialize().mT), 1e-14);
    }

    [Fact]
    public void A_sum_is_linear_only_when_all_its_terms_are()
    {
        using var sum = Forms.Make("branch beside a grid with scaled, rounded inputs");
        using var plain = Forms.Make("residual and adapter");
        sum.IsLinear.ShouldBeFalse();
        plain.IsLinear.ShouldBeTrue();
    }

    [Fact]
    public void A_layer_runs_its_weight_with_rounded_inputs_installed_or_for_a_while()
    {
        using var scope = NewDisposeScope();
        using var form = Forms.Make("branch beside a grid with scaled, rounded inputs");
        using var linear = nn.Linear(11, 7);
        var x = Forms.Random([2, 3, 11]);
        var before = linear.call(x);
        var bias = Forms.Random([7]);
        var expected = form.Apply(x) + bias;
        var layer = new ModelLayer("fc", linear);
        using (new TemporaryWeight(layer, form, bias))
        {
            linear.call(x).ShouldBeNear(expected, 1e-6);
        }

        Compare.SameBits(linear.call(x), before).ShouldBeTrue();
        LayerInstaller.Install(layer, form, bias, onlyLookedUp: false);
        linear.call(x).ShouldBeNear(expected, 1e-6);
    }

    [Fact]
    public void Parts_that_do_not_fit_are_refused()
    {
        using var inner = Forms.Dense(7, 11);
        using var offset = ones(7);
        Should.Throw<ArgumentException>(() => new QuantizedInputs(new(DynamicFormat.Int4, 0), inner));
        Should.Throw<ArgumentException>(() => new QuantizedInputs(new((DynamicFormat)77, 4), inner));
        Should.Throw<ArgumentException>(() => new QuantizedInputs(new(DynamicFormat.Int4, 4), inner, offset));
    }
}
