using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The searches of AWQ (arXiv:2306.00978): column scales from input magnitudes, then a clipped range for each group.</summary>
/// <remarks>
/// Errors are exact: the squared error of the outputs over all calibration tokens is tr(Δ G Δᵀ), and that of one group of one row δ G_gg δᵀ. The grid spans from the smallest
/// to the largest value of a group with an integer zero point; all in float64 but for the stored dtype of scales. Officially 0 need not lie in that range, which leaves no code
/// for the values of a group that lies on one side of it; the sound grid includes 0.
/// </remarks>
internal static class ActivationAware
{
    private const double SmallestMagnitude = 1e-4;
    private const double SmallestRange = 1e-5;
    private const int ClipSteps = 20;

    /// <summary>The column scales of the first smallest error.</summary>
    /// <param name="weight">W [rows, columns] float64.</param>
    /// <param name="gram">G [columns, columns] float64.</param>
    /// <param name="magnitudes">Mean |x| of each column up to a common factor, float64.</param>
    /// <param name="step">Bits, groups and exponents.</param>
    /// <param name="scaleType">The dtype of the grid's scales.</param>
    /// <returns>The scales [columns], the exponent, and tr(Δ G Δᵀ) for each exponent; in the caller's dispose scope.</returns>
    public static (Tensor Scales, double Exponent, double[] Errors) Search(Tensor weight, Tensor gram, Tensor magnitudes, Awq step, ScalarType scaleType)
    {
        using var scope = NewDisposeScope();
        double[] errors = new double[step.GridPoints];
        int best = 0;
        for (int i = 0; i < step.GridPoints; i++)
        {
            using var attempt = NewDisposeScope();
            var scales = ScalesAt(magnitudes, Exponent(i, step));
            errors[i] = WeightedError.Energy(weight, Round(weight * scales, step, scaleType).Values / scales, gram);
            best = errors[i] < errors[best] ? i : best;
        }

        return (ScalesAt(magnitudes, Exponent(best, step)).MoveToOuterDisposeScope(), Exponent(best, step), errors);
    }

    /// <summary>A weight whose groups are clipped to ± a share of their largest magnitude, the share with the smallest error of the group's outputs.</summary>
    /// <param name="weight">W [rows, columns] float64.</param>
    /// <param name="gram">G [columns, columns] float64.</param>
    /// <param name="step">Bits, groups and the largest share to take away.</param>
    /// <param name="scaleType">The dtype of the grid's scales.</param>
    /// <returns>[rows, columns] float64 in the caller's dispose scope.</returns>
    public static Tensor Clip(Tensor weight, Tensor gram, Awq step, ScalarType scaleType)
    {
        using var scope = NewDisposeScope();
        var clipped = new List<Tensor>();
        long length = Length(weight, step);
        for (long first = 0; first < weight.shape[1]; first += length)
        {
            long count = Math.Min(length, weight.shape[1] - first);
            clipped.Add(ClipGroup(weight.narrow(1, first, count), gram.narrow(0, first, count).narrow(1, first, count), step, scaleType));
        }

        return cat(clipped, 1).MoveToOuterDisposeScope();
    }

    /// <summary>Rounds on the grid of AWQ.</summary>
    /// <param name="weight">[rows, columns] float64.</param>
    /// <param name="step">Bits and groups.</param>
    /// <param name="scaleType">The dtype of scales.</param>
    /// <returns>Values and codes [rows, columns], scales and zero points [rows, groups], all float64; in the caller's dispose scope.</returns>
    public static (Tensor Values, Tensor Codes, Tensor Scales, Tensor Zeros) Round(Tensor weight, Awq step, ScalarType scaleType)
    {
        using var scope = NewDisposeScope();
        long columns = weight.shape[1];
        long length = Length(weight, step);
        long missing = (length - columns % length) % length;

        // Filled up with the last value, which leaves a shorter group's range as it is.
        var filled = missing == 0 ? weight : cat([weight, weight.narrow(1, columns - 1, 1).expand(-1, missing)], 1);
        var groups = filled.reshape(weight.shape[0], -1, length);
        double highest = (1 << step.Bits) - 1;
        var (low, high) = (groups.amin([-1], keepdim: true), groups.amax([-1], keepdim: true));
        if (step.Parity == Parity.Sound)
        {
            (low, high) = (low.clamp_max(0), high.clamp_min(0));
        }

        var scales = ((high - low).clamp_min(SmallestRange) / highest).to(scaleType).to(float64);
        var zero = (-(low / scales).round()).clamp(0, highest);
        var codes = ((groups / scales).round() + zero).clamp(0, highest);
        var values = ((codes - zero) * scales).reshape(weight.shape[0], -1).narrow(1, 0, columns);
        return (
            values.MoveToOuterDisposeScope(),
            codes.reshape(weight.shape[0], -1).narrow(1, 0, columns).MoveToOuterDisposeScope(),
            scales.squeeze(-1).MoveToOuterDisposeScope(),
            zero.squeeze(-1).MoveToOuterDisposeScope());
    }

    private static double Exponent(int index, Awq step) => (double)index / step.GridPoints;

    private static long Length(Tensor weight, Awq step) => step.Granularity == Granularity.Channel ? weight.shape[1] : Math.Min(step.GroupSize, weight.shape[1]);

    private static Tensor ScalesAt(Tensor magnitudes, double exponent)
    {
        using var scope = NewDisposeScope();
        var scales = magnitudes.pow(exponent).clamp_min(SmallestMagnitude);
        return (scales / (scales.max() * scales.min()).sqrt()).MoveToOuterDisposeScope();
    }

    private static Tensor ClipGroup(Tensor group, Tensor gram, Awq step, ScalarType scaleType)
    {
        using var scope = NewDisposeScope();
        var largest = group.abs().amax([1], keepdim: true);
        var best = full_like(largest, double.PositiveInfinity);
        var bestLimit = largest;
        for (int i = 0; i < (int)(step.MaxShrink * ClipSteps) || i == 0; i++)
        {
            var limit = largest * (1 - (double)i / ClipSteps);
            var delta = group - Round(maximum(minimum(group, limit), -limit), step, scaleType).Values;
            var error = (delta.mm(gram) * delta).sum(dim: 1, keepdim: true);
            var better = error < best;
            (best, bestLimit) = (where(better, error, best), where(better, limit, bestLimit));
        }

        return maximum(minimum(group, bestLimit), -bestLimit).MoveToOuterDisposeScope();
    }
}
