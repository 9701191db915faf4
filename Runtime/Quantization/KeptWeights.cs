using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The weights that a table would serve badly, to be kept as they are: those that the loss is most sensitive to, and outliers (SqueezeLLM, arXiv:2306.07629, section 4.2).</summary>
/// <param name="Mask">Which [rows, columns] bool, in the caller's dispose scope. Zeros are never kept.</param>
/// <param name="Threshold">Weights of at least this magnitude are outliers; infinity where none is.</param>
/// <param name="Sensitive">How many are kept for their sensitivity.</param>
public sealed record KeptWeights(Tensor Mask, double Threshold, long Sensitive)
{
    /// <summary>As the official code: the sensitive ones, then everything at or beyond max(|q1 − r (q3 − q1)|, |q3 + r (q3 − q1)|) of the whole matrix.</summary>
    /// <param name="weight">[rows, columns].</param>
    /// <param name="fisher">In the same shape, not negative; null where nothing is known.</param>
    /// <param name="sensitive">How many sensitive ones, k: kept is what exceeds the k-th largest entry, k − 1 where none are equal.</param>
    /// <param name="range">r.</param>
    public static KeptWeights BeyondRange(Tensor weight, Tensor? fisher, long sensitive, double range)
    {
        using var scope = NewDisposeScope();
        var most = MostSensitive(weight, fisher, sensitive);
        double low = Quantile(weight, 0.25);
        double high = Quantile(weight, 0.75);
        double threshold = Math.Max(Math.Abs(low - (range * (high - low))), Math.Abs(high + (range * (high - low))));
        var outliers = weight.to(float64).abs() >= threshold;
        return new((most | (outliers & (weight != 0))).MoveToOuterDisposeScope(), threshold, most.sum().item<long>());
    }

    /// <summary>A number of weights in all: the sensitive ones, filled up with the largest; of equally large ones the first.</summary>
    /// <param name="weight">[rows, columns].</param>
    /// <param name="fisher">In the same shape, not negative; null where nothing is known.</param>
    /// <param name="sensitive">As above.</param>
    /// <param name="total">How many; fewer where the others are zero.</param>
    public static KeptWeights OfCount(Tensor weight, Tensor? fisher, long sensitive, long total)
    {
        using var scope = NewDisposeScope();
        var most = MostSensitive(weight, fisher, Math.Min(sensitive, total));
        long known = most.sum().item<long>();
        var magnitudes = weight.abs().masked_fill(most, 0).reshape(-1);
        long more = Math.Min(total - known, magnitudes.count_nonzero().item<long>());
        if (more == 0)
        {
            return new(most.MoveToOuterDisposeScope(), double.PositiveInfinity, known);
        }

        var threshold = Largest(magnitudes, more);
        var above = magnitudes > threshold;
        var equal = (magnitudes == threshold).nonzero().squeeze(1).narrow(0, 0, more - above.sum().item<long>());
        return new((most | above.index_fill_(0, equal, true).reshape(weight.shape)).MoveToOuterDisposeScope(), threshold.to(float64).item<double>(), known);
    }

    private static Tensor MostSensitive(Tensor weight, Tensor? fisher, long count) =>
        fisher is null || count == 0 ? zeros(weight.shape, dtype: @bool) : (fisher > Largest(fisher.reshape(-1), count)) & (weight != 0);

    /// <summary>The k-th largest entry of a list.</summary>
    private static Tensor Largest(Tensor list, long k) => kthvalue(list, list.numel() - k + 1, 0).values;

    /// <summary>A quantile with linear interpolation. The library's own one refuses matrices of more than 16 million entries.</summary>
    private static double Quantile(Tensor weight, double share)
    {
        var list = weight.reshape(-1);
        double place = share * (list.numel() - 1);
        long below = (long)Math.Floor(place);
        double Entry(long index) => kthvalue(list, Math.Min(index + 1, list.numel()), 0).values.to(float64).item<double>();
        double low = Entry(below);
        return low + ((place - below) * (Entry(below + 1) - low));
    }
}
