using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A grid of few bits that follows the values themselves: along the last axis, each group is scaled by its own largest value.</summary>
/// <remarks>
/// Signed integers are symmetric: −2^(b−1) is never used. Rounding is half to even for integers and to the smaller magnitude for <see cref="DynamicFormat.Nvfp4"/>. Scales are
/// rounded before anything is divided by them; a group of zeros stays zeros.
/// </remarks>
/// <param name="Format">The codes.</param>
/// <param name="GroupSize">Neighbours that share a scale; the last group may be shorter.</param>
public sealed record DynamicGrid(DynamicFormat Format, int GroupSize)
{
    /// <summary>Bits a code.</summary>
    public int Bits => Format == DynamicFormat.Int8 ? 8 : 4;

    /// <summary>What is wrong with the numbers, or null.</summary>
    public string? Problem => !Enum.IsDefined(Format) ? $"unknown format '{Format}'" : GroupSize < 1 ? $"groups of {GroupSize} values are impossible" : null;

    private double Highest => Format switch
    {
        DynamicFormat.Int4 => 7,
        DynamicFormat.Int4Unsigned => 15,
        DynamicFormat.Int8 => 127,
        _ => MiniFloat.E2M1.Largest,
    };

    private double Lowest => Format == DynamicFormat.Int4Unsigned ? 0 : -Highest;

    /// <summary>The nearest values on the grid.</summary>
    /// <param name="values">[…, n], floating point; scales are of the same dtype.</param>
    /// <returns>In the dtype and shape of the values; the caller owns them.</returns>
    public Tensor Round(Tensor values)
    {
        using var scope = NewDisposeScope();
        var groups = Split(values);
        var scales = Scales(groups, values.dtype, 1).Total.unsqueeze(-1);
        var steps = Divide(groups, scales);
        var levels = Format == DynamicFormat.Nvfp4 ? MiniFloat.E2M1.Round(steps) : steps.round().clamp(Lowest, Highest);
        return Join(levels * scales, values.shape).MoveToOuterDisposeScope();
    }

    /// <summary>Codes and scales.</summary>
    /// <param name="values">[…, n], floating point, finite.</param>
    /// <param name="scaleType">What scales are rounded to; no matter for <see cref="DynamicFormat.Nvfp4"/>, whose scales are e4m3 times the unit.</param>
    /// <param name="unit">What the scales of <see cref="DynamicFormat.Nvfp4"/> are multiples of.</param>
    /// <returns>Tensors of the caller's dispose scope.</returns>
    /// <exception cref="InvalidOperationException">A scale does not fit its dtype.</exception>
    public DynamicCodes Quantize(Tensor values, ScalarType scaleType, double unit = 1)
    {
        using var scope = NewDisposeScope();
        var groups = Split(values);
        var (relative, total) = Scales(groups, scaleType, unit);
        if (!total.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"a scale of {Range(groups).max().item<double>() / Highest:g3} does not fit {scaleType}; use 'scaleType: float32'");
        }

        var steps = Divide(groups, total.unsqueeze(-1));
        var codes = Format == DynamicFormat.Nvfp4 ? MiniFloat.E2M1.Encode(steps) : steps.round().clamp(Lowest, Highest);
        return new(
            Join(codes.to(int16), values.shape).MoveToOuterDisposeScope(),
            total.MoveToOuterDisposeScope(),
            relative.MoveToOuterDisposeScope());
    }

    /// <summary>The raw scale of each group, largest value / highest code, before any rounding [..., groups]; the caller owns it.</summary>
    public Tensor RawScales(Tensor values)
    {
        using var scope = NewDisposeScope();
        return (Range(Split(values)) / Highest).MoveToOuterDisposeScope();
    }

    /// <summary>Scales in the dtype of the groups: as multiples of the unit, and as they are.</summary>
    private (Tensor Relative, Tensor Total) Scales(Tensor groups, ScalarType scaleType, double unit)
    {
        var raw = Range(groups) / Highest;
        if (Format == DynamicFormat.Nvfp4)
        {
            var relative = MiniFloat.E4M3.Round(raw / unit);
            return (relative, relative * unit);
        }

        var stored = raw.to(scaleType).to(groups.dtype);
        var scales = where(stored == 0, ones_like(stored), stored);
        return (scales, scales.alias());
    }

    private Tensor Range(Tensor groups) => (Format == DynamicFormat.Int4Unsigned ? groups.clamp_min(0) : groups.abs()).amax([-1]);

    /// <summary>What a scale of zero is left for rounds to zero.</summary>
    private static Tensor Divide(Tensor groups, Tensor scales) => groups / where(scales == 0, full_like(scales, double.PositiveInfinity), scales);

    /// <summary>[…, groups, group size]; a shorter last group is filled up with zeros, which no range feels.</summary>
    private Tensor Split(Tensor values)
    {
        long missing = (GroupSize - values.shape[^1] % GroupSize) % GroupSize;
        var whole = missing == 0 ? values : nn.functional.pad(values, [0, missing]);
        return whole.reshape([.. values.shape[..^1], -1, GroupSize]);
    }

    private static Tensor Join(Tensor groups, long[] shape) => groups.flatten(-2).narrow(-1, 0, shape[^1]);
}

/// <summary>The codes of a <see cref="DynamicGrid"/>.</summary>
public enum DynamicFormat
{
    /// <summary>Integers from −7 to 7.</summary>
    Int4,

    /// <summary>Integers from 0 to 15, for values that are not negative.</summary>
    Int4Unsigned,

    /// <summary>Integers from −127 to 127.</summary>
    Int8,

    /// <summary>Floats of 4 bits (e2m1) with scales of 8 (e4m3).</summary>
    Nvfp4,
}

/// <summary>Values on a <see cref="DynamicGrid"/>.</summary>
/// <param name="Codes">[…, n] int16: integers, or the four bits of a float.</param>
/// <param name="Scales">What codes are multiplied by […, groups], in the values' dtype.</param>
/// <param name="Relative">The same as multiples of the unit.</param>
public sealed record DynamicCodes(Tensor Codes, Tensor Scales, Tensor Relative);
