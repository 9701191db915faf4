using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>NF4 with and without double quantisation against the float32 reference.</summary>
[Trait("Category", "Golden")]
public sealed class NormalFloatGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("quant-baselines");

    [Fact]
    public void Tables_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        Compare.SameBits(NormalFloatLevels.Of(4), golden["out.nf4.table"]).ShouldBeTrue();
        NormalFloatLevels.DynamicMap().ShouldBeNear(golden["out.nf4.dynamic_map"], 1e-6);
    }

    [Fact]
    public void Scales_codes_and_values_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var flat = golden["in.nf4.flat"];
        var (absmax, packed) = (golden["out.nf4.absmax"], golden["out.nf4.packed"]);
        int block = (int)(flat.numel() / absmax.numel());
        var scales = NormalFloatMatrix.Magnitudes(flat, block);
        Compare.SameBits(scales, absmax).ShouldBeTrue();
        var codes = NormalFloatMatrix.Codes(flat, scales, NormalFloatLevels.Of(4), block).to(int64).reshape(-1, 2);
        (codes.select(1, 0) * 16 + codes.select(1, 1)).eq(packed.to(int64).reshape(-1)).all().item<bool>().ShouldBeTrue();
        using var stored = NormalFloatMatrix.Store(flat.reshape(1, -1), new NormalFloat { BlockSize = block, DoubleQuantization = false });
        Compare.SameBits(stored.Materialize().reshape(-1), golden["out.nf4.dequant"]).ShouldBeTrue();
    }

    [Fact]
    public void Doubly_quantised_scales_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var absmax = golden["out.nf4.absmax"];
        using var scales = NormalFloatMatrix.Quantize(absmax);
        scales.UnpackedCodes().to(int64).reshape(-1).eq(golden["out.nf4.dq_codes"].to(int64)).all().item<bool>().ShouldBeTrue();
        scales.Zeros!.reshape(-1).ShouldBeNear(golden["out.nf4.dq_offset"], 1e-6);
        scales.Scales.Materialize().reshape(-1).ShouldBeNear(golden["out.nf4.dq_absmax"], 1e-6);
        var restored = scales.Materialize().reshape(-1);
        restored.ShouldBeNear(golden["out.nf4.dq_absmax_reconstructed"], 1e-6);
        double bound = (absmax - absmax.mean()).abs().max().item<float>() * 0.02;
        (restored - absmax).abs().max().item<float>().ShouldBeLessThanOrEqualTo((float)bound);
    }
}
