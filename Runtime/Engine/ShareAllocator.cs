using PipelineDsl.Runtime.Analysis;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Shares bytes out by a rule with one free number, the largest that fits.</summary>
/// <param name="layers">The layers; every rank is a choice.</param>
internal sealed class ShareAllocator(IReadOnlyList<LayerChoices> layers)
{
    /// <summary>FARMS' half-width of the range of ratios for methods that do not look at data.</summary>
    private const double Epsilon = 0.3;

    private const int Halvings = 60;

    /// <summary>The same share of its parameters for every layer.</summary>
    public IReadOnlyList<int> Uniform(long bytes) => Largest(share => [.. layers.Select(_ => share)], bytes);

    /// <summary>More for layers with a small heavy-tail exponent.</summary>
    public IReadOnlyList<int> ByExponent(IReadOnlyList<double> alphas, long bytes)
    {
        long[] counts = [.. layers.Select(layer => layer.Open.Shape.Count)];
        return Largest(share => [.. ExponentMaps.Ratios(alphas, counts, 1 - share, Epsilon).Select(ratio => 1 - ratio)], bytes);
    }

    /// <summary>The choices at the largest mean share that fits; the smallest one was found to fit before.</summary>
    private int[] Largest(Func<double, IReadOnlyList<double>> shares, long bytes)
    {
        int[] Choices(double share) => [.. layers.Zip(shares(share)).Select(item => item.First.AtShare(item.Second))];
        bool Fits(int[] choices) => layers.Zip(choices).Sum(item => item.First.Costs[item.Second]) <= bytes;
        double low = 0;
        double high = 1;
        if (Fits(Choices(high)))
        {
            return Choices(high);
        }

        for (int i = 0; i < Halvings; i++)
        {
            double middle = (low + high) / 2;
            (low, high) = Fits(Choices(middle)) ? (middle, high) : (low, middle);
        }

        return Choices(low);
    }
}
