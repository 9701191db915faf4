using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The grids of a 4-bit weight and of its inputs.</summary>
/// <param name="Weights">The weight's.</param>
/// <param name="Inputs">The inputs', or null where they stay as they are.</param>
/// <param name="RealType">What scales are stored in: float16 or float32; float64 for the exact method.</param>
internal sealed record FourBitGrids(DynamicGrid Weights, DynamicGrid? Inputs, ScalarType RealType)
{
    /// <summary>The grids of a step.</summary>
    public static FourBitGrids Of(SvdQuant step, ScalarType realType)
    {
        var weights = step.Format == FourBitFormat.Nvfp4 ? DynamicFormat.Nvfp4 : DynamicFormat.Int4;
        var inputs = step.ActivationBits == 8 ? DynamicFormat.Int8 : step.InputShift > 0 ? DynamicFormat.Int4Unsigned : weights;
        return new(new(weights, step.Group), step.ActivationBits == 0 ? null : new(inputs, step.Group), realType);
    }

    /// <summary>The weight as it will be read back [m, n] float64; the caller owns it.</summary>
    public Tensor Round(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var codes = Quantize(weight).Codes;
        var levels = Weights.Format == DynamicFormat.Nvfp4 ? MiniFloat.E2M1.Decode(codes.Codes) : codes.Codes.to(float64);
        var spread = codes.Scales.repeat_interleave(Weights.GroupSize, 1).narrow(1, 0, weight.shape[1]);
        return (levels * spread).MoveToOuterDisposeScope();
    }

    /// <summary>Codes and scales of a weight, and what NVFP4's scales are multiples of: the largest is to be e4m3's largest.</summary>
    public (DynamicCodes Codes, double Unit) Quantize(Tensor weight)
    {
        double unit = 1;
        if (Weights.Format == DynamicFormat.Nvfp4)
        {
            using var raw = Weights.RawScales(weight);
            double exact = raw.max().item<double>() / MiniFloat.E4M3.Largest;
            unit = RealType == float64 ? exact : (float)exact;
        }

        return (Weights.Quantize(weight, RealType, unit > 0 ? unit : 1), unit > 0 ? unit : 1);
    }

    /// <summary>The stored weight; the caller owns it.</summary>
    public Grid Store(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var (codes, unit) = Quantize(weight);
        var (rows, columns, groups) = (weight.shape[0], weight.shape[1], codes.Scales.shape[1]);
        if (Weights.Format != DynamicFormat.Nvfp4)
        {
            return Grid.Pack(new(rows, columns, 4, Signed: true, Granularity.Group, Weights.GroupSize), codes.Codes, codes.Scales.to(RealType), null);
        }

        var scales = Grid.Pack(
            new(rows, groups, 8, Signed: false, Granularity.Tensor, 1),
            MiniFloat.E4M3.Encode(codes.Relative).to(int16),
            full([1, 1], (float)unit),
            null,
            tensor(MiniFloat.E4M3.Levels));
        return Grid.Pack(new(rows, columns, 4, Signed: false, Granularity.Group, Weights.GroupSize), codes.Codes, scales, null, tensor(MiniFloat.E2M1.Levels));
    }
}
