using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

public sealed class DynamicGridTests
{
    public static TheoryData<DynamicFormat> Formats => [.. Enum.GetValues<DynamicFormat>()];

    [Theory]
    [MemberData(nameof(Formats))]
    public void Rounding_is_codes_times_scales(DynamicFormat format)
    {
        var grid = new DynamicGrid(format, 4);
        var values = Forms.Random([3, 2, 11], float64).abs() * (format == DynamicFormat.Int4Unsigned ? 1 : Forms.Random([3, 2, 11], float64).sign());
        var codes = grid.Quantize(values, float64);
        codes.Codes.shape.ShouldBe([3, 2, 11]);
        codes.Scales.shape.ShouldBe([3, 2, 3]);
        var levels = format == DynamicFormat.Nvfp4 ? MiniFloat.E2M1.Decode(codes.Codes) : codes.Codes.to(float64);
        grid.Round(values).ShouldBeNear(levels * codes.Scales.repeat_interleave(4, -1).narrow(-1, 0, 11), 1e-15);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Groups_of_zeros_stay_zeros_and_do_not_touch_others(DynamicFormat format)
    {
        var grid = new DynamicGrid(format, 4);
        var values = Forms.Random([1, 8], float64).abs();
        values[0, ..4] = 0;
        var codes = grid.Quantize(values, float64);
        codes.Codes[0, ..4].count_nonzero().item<long>().ShouldBe(0);
        codes.Scales.isfinite().all().item<bool>().ShouldBeTrue();
        grid.Round(values)[0, ..4].abs().max().item<double>().ShouldBe(0);
        grid.Round(values)[0, 4..].ShouldBeNear(grid.Round(values[TensorIndex.Colon, 4..])[0], 0);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_value_that_is_no_number_shows(DynamicFormat format)
    {
        var values = tensor(new[] { 1.0, double.NaN, 2, 3 }).reshape(1, -1);
        new DynamicGrid(format, 2).Round(values).isnan().any().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void Unsigned_codes_cut_off_what_is_negative()
    {
        var grid = new DynamicGrid(DynamicFormat.Int4Unsigned, 4);
        grid.Round(tensor(new[] { -9.0, 3, 15, 0 })).data<double>().ToArray().ShouldBe([0.0, 3, 15, 0]);
        grid.Round(tensor(new[] { -9.0, -1, -2, -3 })).data<double>().ToArray().ShouldBe([0.0, 0, 0, 0]);
    }

    [Fact]
    public void Signed_codes_are_symmetric_and_half_steps_go_to_even()
    {
        var codes = new DynamicGrid(DynamicFormat.Int4, 8).Quantize(tensor(new[] { -7.0, 7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5 }), float64).Codes;
        codes.data<short>().ToArray().ShouldBe([(short)-7, 7, 0, 2, 2, 0, -2, -2]);
    }

    [Fact]
    public void Codes_stay_within_the_grid_when_a_tiny_scale_loses_digits()
    {
        // 1.4 · 2⁻²⁴ becomes 2⁻²⁴ in float16, of which the value is 9.8 steps.
        var values = tensor(new[] { 9.8, -9.8 }) * Math.ScaleB(1, -24);
        new DynamicGrid(DynamicFormat.Int4, 2).Quantize(values, float16).Codes.data<short>().ToArray().ShouldBe([(short)7, -7]);
    }

    [Fact]
    public void A_scale_beyond_its_dtype_is_refused_with_the_cure()
    {
        var values = tensor(new[] { 1e6, 1 });
        Should.Throw<InvalidOperationException>(() => new DynamicGrid(DynamicFormat.Int4, 2).Quantize(values, float16)).Message.ShouldContain("scaleType: float32");
    }

    [Fact]
    public void Floats_beyond_what_their_scales_reach_are_the_largest()
    {
        var grid = new DynamicGrid(DynamicFormat.Nvfp4, 2);
        grid.Round(tensor(new[] { 1e6, -1e6 })).data<double>().ToArray().ShouldBe([448 * 6.0, -448 * 6.0]);
    }
}
