using PipelineDsl.Runtime.Analysis;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Shares bytes out by a rule with one free number, the largest that fits; once for each setting, such as 3 bits, that all layers can have.</summary>
/// <param name="layers">The layers; every rank is a choice.</param>
internal sealed class ShareAllocator(IReadOnlyList<LayerChoices> layers)
{
    /// <summary>FARMS' half-width of the range of ratios for methods that do not look at data.</summary>
    private const double Epsilon = 0.3;

    private const int Halvings = 60;

    /// <summary>Of settings that are many, so many are tried.</summary>
    private const int MostSettings = 16;

    /// <summary>The same share of its parameters for every layer.</summary>
    /// <returns>The plans that fit, the dearest setting first; where layers have no such setting in common, the one of equal shares of bytes.</returns>
    public IReadOnlyList<SharedPlan> Uniform(long bytes) => Plans(share => [.. layers.Select(_ => share)], bytes, "equal shares of parameters");

    /// <summary>More for layers with a small heavy-tail exponent.</summary>
    /// <inheritdoc cref="Uniform" path="/returns"/>
    public IReadOnlyList<SharedPlan> ByExponent(IReadOnlyList<double> alphas, long bytes)
    {
        long[] counts = [.. layers.Select(layer => layer.Open.Shape.Count)];
        return Plans(share => [.. ExponentMaps.Ratios(alphas, counts, 1 - share, Epsilon).Select(ratio => 1 - ratio)], bytes, "shares by exponent");
    }

    private List<SharedPlan> Plans(Func<double, IReadOnlyList<double>> shares, long bytes, string rule)
    {
        var named = layers.Select(layer => layer.Settings).Where(settings => settings is not [""]).ToList();
        List<string> common = named.Count == 0 ? [""] : [.. named[0].Where(setting => named.All(settings => settings.Contains(setting)))];
        string Name(string setting) => string.Join(", ", new[] { setting, layers.Any(layer => layer.HasOpenRank) ? rule : "" }.Where(part => part.Length > 0));
        IReadOnlyList<LayerChoice> AtShares(double share, string setting) => [.. layers.Zip(shares(share)).Select(item => item.First.AtShare(item.Second, item.First.Settings is [""] ? "" : setting))];
        List<SharedPlan> plans = [];
        foreach (string setting in LayerChoices.Spread(common, MostSettings).Reverse())
        {
            if (Largest(share => AtShares(share, setting), bytes) is { } choices)
            {
                plans.Add(new(Name(setting), choices));
            }
        }

        return plans.Count > 0 ? plans : [new("equal shares of bytes", Largest(share => [.. layers.Select(layer => layer.AtByteShare(share))], bytes)!)];
    }

    /// <summary>The choices at the largest mean share that fits, or null where none does.</summary>
    private static IReadOnlyList<LayerChoice>? Largest(Func<double, IReadOnlyList<LayerChoice>> choicesAt, long bytes)
    {
        bool Fits(IReadOnlyList<LayerChoice> choices) => choices.Sum(choice => choice.Cost) <= bytes;
        double low = 0;
        double high = 1;
        if (Fits(choicesAt(high)))
        {
            return choicesAt(high);
        }

        if (!Fits(choicesAt(low)))
        {
            return null;
        }

        for (int i = 0; i < Halvings; i++)
        {
            double middle = (low + high) / 2;
            (low, high) = Fits(choicesAt(middle)) ? (middle, high) : (low, middle);
        }

        return choicesAt(low);
    }
}

/// <summary>Choices that a rule gives.</summary>
/// <param name="Name">The rule, with what layers have in common.</param>
/// <param name="Choices">The choice of each layer.</param>
internal sealed record SharedPlan(string Name, IReadOnlyList<LayerChoice> Choices);
