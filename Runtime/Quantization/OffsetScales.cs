using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Scales as unsigned integers above the smallest of them, with one scale a block of scales (LQ-LoRA, arXiv:2311.12023, with the offset of its published code).</summary>
internal static class OffsetScales
{
    /// <summary>Below this a scale of scales is none: its integers are 0.</summary>
    private const double Smallest = 1.0 / (1 << 24);

    /// <summary>Stores scales.</summary>
    /// <param name="scales">[blocks] float32, not negative.</param>
    /// <param name="step">Bits, block and type of scales.</param>
    /// <returns>A form of [1, blocks]; the caller owns it.</returns>
    /// <exception cref="InvalidOperationException">A scale of scales does not fit its type.</exception>
    public static Grid Store(Tensor scales, LqLora step)
    {
        using var scope = NewDisposeScope();
        var geometry = new GridGeometry(1, scales.shape[0], step.ScaleBits, Signed: false, Granularity.Group, step.ScaleBlock);
        var offset = scales.min();
        var above = (scales - offset).unsqueeze(0);
        var largest = geometry.Cut(above).amax(-1).to(Dtypes.Of(step.ScaleType));
        if (!largest.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"a scale of {above.max().item<float>():g3} does not fit float16; use 'scaleType: bfloat16'");
        }

        var spread = geometry.Spread(largest.to(float32));
        var codes = where(spread <= Smallest, zeros_like(above), (above * (geometry.Highest / spread)).round()).clamp(0, geometry.Highest);
        return Grid.Pack(geometry, codes.to(int16), new Scaled(null, new Dense(largest), null, 1.0 / geometry.Highest), offset.reshape(1, 1));
    }
}
