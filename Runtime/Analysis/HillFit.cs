namespace PipelineDsl.Runtime.Analysis;

/// <summary>How the start of a power-law tail is chosen.</summary>
public enum TailStart
{
    /// <summary>At a fixed share of the eigenvalues; the middle by default.</summary>
    Median,

    /// <summary>Near the fullest bin of the logarithmic histogram, where the fit is best.</summary>
    Peak,

    /// <summary>Wherever the fit is best.</summary>
    BestKolmogorovSmirnov,
}

/// <summary>The lower end of the eigenvalues that <see cref="TailStart.Peak"/> may start at; x* is the left edge of the fullest bin.</summary>
public enum PeakLowerCut
{
    /// <summary>log10(0.95 x*), as the official code compares (mostly negative, so no cut, and not invariant to scale).</summary>
    Reference,

    /// <summary>0.95 x*.</summary>
    Linear,
}

/// <summary>The heavy-tail exponent of an eigenvalue spectrum by Hill's estimator (FARMS, arXiv:2506.06280; AlphaPruning, arXiv:2410.10912).</summary>
/// <param name="Alpha">The exponent: small means a heavy tail, a well trained layer; at most <see cref="LargestAlpha"/>.</param>
/// <param name="Distance">The Kolmogorov-Smirnov distance of the tail from the fitted power law.</param>
/// <param name="Start">The index of the tail's first eigenvalue.</param>
public sealed record HillFit(double Alpha, double Distance, int Start)
{
    /// <summary>A near-flat spectrum's exponent explodes and would rule every map between the smallest and the largest.</summary>
    public const double LargestAlpha = 100;

    private const double UpperShare = 1.5;
    private const double LowerShare = 0.95;

    /// <summary>Whether the exponent was cut off.</summary>
    public bool IsFlat => Alpha >= LargestAlpha;

    /// <summary>Fits a spectrum.</summary>
    /// <param name="eigenvalues">Ascending; those that are not positive are left out.</param>
    /// <param name="start">How the tail's start is chosen.</param>
    /// <param name="position">The median start is int(N / position).</param>
    /// <param name="bins">Bins of the peak's histogram.</param>
    /// <param name="cut">The peak's lower end.</param>
    /// <exception cref="ArgumentException">Fewer than two positive eigenvalues.</exception>
    public static HillFit Of(IReadOnlyList<double> eigenvalues, TailStart start, double position = 2, int bins = 100, PeakLowerCut cut = PeakLowerCut.Reference)
    {
        double[] values = [.. eigenvalues.Where(value => value > 0)];
        if (values.Length < 2)
        {
            throw new ArgumentException("a tail needs two positive eigenvalues; the layer's weight is zero or nearly so", nameof(eigenvalues));
        }

        double[] logarithmSums = new double[values.Length + 1];
        for (int i = values.Length - 1; i >= 0; i--)
        {
            logarithmSums[i] = logarithmSums[i + 1] + Math.Log(values[i]);
        }

        return start switch
        {
            TailStart.Median => From(values, logarithmSums, Math.Min((int)(values.Length / position), values.Length - 2)),
            TailStart.Peak => Best(values, logarithmSums, Candidates(values, bins, cut)),
            _ => Best(values, logarithmSums, Enumerable.Range(0, values.Length - 1)),
        };
    }

    private static HillFit From(double[] values, double[] logarithmSums, int start)
    {
        int count = values.Length - start;
        double alpha = 1 + (count / (logarithmSums[start] - (count * Math.Log(values[start]))));
        double distance = 0;
        for (int k = 0; k < count; k++)
        {
            distance = Math.Max(distance, Math.Abs(1 - Math.Pow(values[start + k] / values[start], 1 - alpha) - ((double)k / count)));
        }

        return new(Math.Min(alpha, LargestAlpha), distance, start);
    }

    /// <summary>The smallest distance, the first of equal ones; what is no candidate counts as distance 1 and comes at index 0.</summary>
    private static HillFit Best(double[] values, double[] logarithmSums, IEnumerable<int> candidates)
    {
        HillFit? best = null;
        foreach (int start in candidates)
        {
            var fit = From(values, logarithmSums, start);
            if (fit.Alpha > 1 && fit.Distance < (best?.Distance ?? 1))
            {
                best = fit;
            }
        }

        return best ?? From(values, logarithmSums, 0);
    }

    private static IEnumerable<int> Candidates(double[] values, int bins, PeakLowerCut cut)
    {
        double peak = Peak(values, bins);
        double lower = cut == PeakLowerCut.Reference ? Math.Log10(LowerShare * peak) : LowerShare * peak;
        return Enumerable.Range(0, values.Length - 1).Where(i => values[i] >= lower && values[i] <= UpperShare * peak);
    }

    /// <summary>10 to the left edge of the fullest of equal bins over log10 of the values.</summary>
    private static double Peak(double[] values, int bins)
    {
        double low = Math.Log10(values[0]);
        double width = (Math.Log10(values[^1]) - low) / bins;
        if (width == 0)
        {
            return values[0];
        }

        int[] counts = new int[bins];
        foreach (double value in values)
        {
            counts[Math.Clamp((int)((Math.Log10(value) - low) / width), 0, bins - 1)]++;
        }

        return Math.Pow(10, low + (Array.IndexOf(counts, counts.Max()) * width));
    }
}
