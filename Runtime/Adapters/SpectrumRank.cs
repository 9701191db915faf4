namespace PipelineDsl.Runtime.Adapters;

/// <summary>Ranks that a spectrum suggests.</summary>
public static class SpectrumRank
{
    /// <summary>The number of Kronecker terms that a spectrum gets.</summary>
    /// <param name="step">The rules.</param>
    /// <param name="values">Singular values of the rearrangement, descending.</param>
    public static int Of(Soka step, IReadOnlyList<double> values)
    {
        int energy = OfEnergy(values, step.EnergyThreshold);
        int elbow = step.Elbow switch
        {
            ElbowRule.Chord => OfChord(values),
            ElbowRule.Gap => OfGap(values),
            _ => energy,
        };
        int most = Math.Min(step.MostTerms, values.Count);
        return Math.Clamp(step.TakeLarger ? Math.Max(energy, elbow) : Math.Min(energy, elbow), Math.Min(step.MinRank, most), most);
    }

    /// <summary>The smallest rank that keeps a share of the squared singular values.</summary>
    /// <param name="values">Descending.</param>
    /// <param name="share">In (0, 1].</param>
    public static int OfEnergy(IReadOnlyList<double> values, double share)
    {
        double wanted = share * values.Sum(value => value * value);
        double kept = 0;
        for (int i = 0; i < values.Count; i++)
        {
            kept += values[i] * values[i];
            if (kept >= wanted)
            {
                return i + 1;
            }
        }

        return values.Count;
    }

    /// <summary>The place farthest below the chord from the first to the last value, of both axes scaled to 1; the first on ties, and all where all are equal.</summary>
    /// <param name="values">Descending.</param>
    public static int OfChord(IReadOnlyList<double> values)
    {
        double span = values[0] - values[^1];
        if (values.Count < 2 || span == 0)
        {
            return values.Count;
        }

        return First(values.Count, k => 1 - ((double)k / (values.Count - 1)) - ((values[k] - values[^1]) / span));
    }

    /// <summary>The place before the largest gap; the first on ties.</summary>
    /// <param name="values">Descending.</param>
    public static int OfGap(IReadOnlyList<double> values) => values.Count < 2 ? values.Count : First(values.Count - 1, k => values[k] - values[k + 1]);

    /// <summary>One more than the first place of the largest score.</summary>
    private static int First(int count, Func<int, double> score)
    {
        int best = 0;
        for (int k = 1; k < count; k++)
        {
            best = score(k) > score(best) ? k : best;
        }

        return best + 1;
    }
}
