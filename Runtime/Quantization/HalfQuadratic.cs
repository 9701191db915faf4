using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Codes and real zero points by half-quadratic splitting (HQQ, 2023): value = (code − zero) / inverse scale.</summary>
/// <param name="Codes">[groups, length] float64 integers from 0.</param>
/// <param name="InverseScales">[groups, 1] float64.</param>
/// <param name="Zeros">[groups, 1] float64.</param>
/// <param name="Errors">The mean |W − W'| of each iteration, the one that stopped included.</param>
/// <remarks>
/// The zero points are those of the stopping iteration, as in the official code; β stays constant. Tensors belong to the caller's dispose scope.
/// </remarks>
public sealed record HalfQuadratic(Tensor Codes, Tensor InverseScales, Tensor Zeros, IReadOnlyList<double> Errors)
{
    /// <summary>A flat group cannot be told from one with a huge scale.</summary>
    private const double LargestInverseScale = 2e4;

    /// <summary>Whether a group is narrower than its codes could tell, so that most of them stay unused.</summary>
    public bool HasNarrowGroup => (InverseScales >= LargestInverseScale).any().item<bool>();

    /// <summary>Fits groups of values.</summary>
    /// <param name="groups">[groups, length] float64, each with a scale of its own; NaN counts as missing.</param>
    /// <param name="step">Bits, norm and iterations.</param>
    public static HalfQuadratic Of(Tensor groups, Hqq step)
    {
        using var scope = NewDisposeScope();
        double highest = (1 << step.Bits) - 1;
        var present = groups.isnan().logical_not();
        var values = where(present, groups, zeros_like(groups));
        var low = where(present, groups, full_like(groups, double.PositiveInfinity)).amin([1], keepdim: true);
        var range = where(present, groups, full_like(groups, double.NegativeInfinity)).amax([1], keepdim: true) - low;
        var scales = where(range == 0, ones_like(range), (highest / range).clamp_max(LargestInverseScale));
        var zero = -low * scales;
        var counts = present.sum(dim: 1, keepdim: true);
        var errors = new List<double>();
        for (int iteration = 0; iteration < step.Iterations; iteration++)
        {
            var codes = (values * scales + zero).round().clamp(0, highest);
            var error = where(present, values - (codes - zero) / scales, zeros_like(values));
            zero = where(present, codes - (values - Shrink(error, step)) * scales, zeros_like(values)).sum(dim: 1, keepdim: true) / counts;
            errors.Add(error.abs().sum().item<double>() / counts.sum().item<long>());
            if (iteration > 0 && !(errors[^1] < errors.Take(iteration).Min()))
            {
                break;
            }
        }

        var final = (values * scales + zero).round().clamp(0, highest);
        return new(final.MoveToOuterDisposeScope(), scales.MoveToOuterDisposeScope(), zero.MoveToOuterDisposeScope(), errors);
    }

    /// <summary>sgn(x) max(|x| − |x|^(p−1) / β, 0): what of an error counts as outlier.</summary>
    private static Tensor Shrink(Tensor error, Hqq step)
    {
        var size = error.abs();
        return error.sign() * (size - size.pow(step.Norm - 1) / step.Beta).nan_to_num(0).clamp_min(0);
    }
}
