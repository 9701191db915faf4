namespace PipelineDsl.Runtime.Allocation;

/// <summary>Chooses options by predicted loss where layers count differently: a layer's error, times how much the loss of the whole model answers to it.</summary>
/// <remarks>
/// How much it answers is not known without knowing what the other layers do, so it is measured where they are compressed too: each layer's part of the
/// loss increase (<see cref="Engine.LossAttribution"/>: what of it bends the loss) over its error, first at the best plan that treats all layers alike, then at the best choices not looked at yet as well, parts and
/// errors summed over these places, so that a place where a layer is hardly touched says little about it. The exact allocation for these weights, and for
/// their square roots (a loss that saturates exaggerates differences), is tried. What is compared is the loss on the calibration data, so that no
/// result is worse there than the best plan that treats all layers alike.
/// </remarks>
/// <param name="layers">The options of each layer; distortions are errors of the layer itself, 0 for a layer as it was.</param>
/// <param name="budget">The largest sum of costs.</param>
/// <param name="increase">What the model's loss gains with these choices.</param>
/// <param name="parts">What each layer contributes to that, as far as another error of the same size would too.</param>
internal sealed class SensitivitySearch(
    IReadOnlyList<IReadOnlyList<AllocationOption>> layers,
    long budget,
    Func<IReadOnlyList<int>, double> increase,
    Func<IReadOnlyList<int>, IReadOnlyList<double>> parts)
{
    private const int Rounds = 3;

    /// <summary>Errors below this are rounding.</summary>
    private const double Nothing = 1e-12;

    private static readonly double[] Tempers = [1, 0.5];

    private readonly List<AllocationTrial> trials = [];
    private readonly HashSet<AllocationTrial> seen = [];
    private readonly double[] sumOfParts = new double[layers.Count];
    private readonly double[] sumOfErrors = new double[layers.Count];

    /// <summary>Searches.</summary>
    /// <param name="uniform">The choices that treat all layers alike, by name: equal shares, the same bits.</param>
    public SensitivityResult From(IReadOnlyList<(string Name, IReadOnlyList<int> Choices)> uniform)
    {
        var equal = Allocate([.. layers.Select(_ => 1.0)]);
        if (layers.Zip(equal).All(item => item.First[item.Second].Distortion == 0))
        {
            return new(equal, [], null);
        }

        foreach (var (name, choices) in uniform)
        {
            Try(name, choices);
        }

        var place = Best(trials);
        Try("equal weights", equal);
        place ??= trials[0];
        double[]? weights = null;
        for (int round = 1; round <= Rounds; round++)
        {
            weights = Sensitivities(place.Choices);
            seen.Add(place);
            foreach (double temper in Tempers)
            {
                Try($"round {round}{(temper == 1 ? "" : ", tempered")}", Allocate([.. weights.Select(weight => Math.Pow(weight, temper))]));
            }

            if (Best(trials.Except(seen)) is not { } next)
            {
                break;
            }

            place = next;
        }

        return new(Best(trials)!.Choices, trials, weights);
    }

    /// <summary>The first of the best; a loss that is no number is the worst.</summary>
    private static AllocationTrial? Best(IEnumerable<AllocationTrial> trials) => trials.MinBy(trial => double.IsNaN(trial.LossIncrease) ? double.PositiveInfinity : trial.LossIncrease);

    private void Try(string name, IReadOnlyList<int> choices)
    {
        if (!trials.Exists(trial => trial.Choices.SequenceEqual(choices)))
        {
            trials.Add(new(name, choices, increase(choices)));
        }
    }

    private IReadOnlyList<int> Allocate(double[] weights) =>
        BudgetAllocator.Allocate([.. layers.Zip(weights).Select(item => (IReadOnlyList<AllocationOption>)[.. item.First.Select(option => option with { Distortion = option.Distortion * item.Second })])], budget).Choices;

    /// <summary>Parts over errors, with those of another place; where there is no error or compression does no harm, the least of the others.</summary>
    private double[] Sensitivities(IReadOnlyList<int> choices)
    {
        var contributions = parts(choices);
        for (int layer = 0; layer < layers.Count; layer++)
        {
            sumOfParts[layer] += contributions[layer];
            sumOfErrors[layer] += layers[layer][choices[layer]].Distortion;
        }

        double[] slopes = [.. sumOfParts.Zip(sumOfErrors).Select(sums => sums.Second > Nothing ? sums.First / sums.Second : 0)];
        double least = slopes.Where(slope => slope > 0 && double.IsFinite(slope)).DefaultIfEmpty(1).Min();
        return [.. slopes.Select(slope => slope > 0 && double.IsFinite(slope) ? slope : least)];
    }
}

/// <summary>Choices that were tried.</summary>
/// <param name="Name">How they were found.</param>
/// <param name="Choices">The index of each layer's option.</param>
/// <param name="LossIncrease">What the loss on the calibration data gained.</param>
internal sealed record AllocationTrial(string Name, IReadOnlyList<int> Choices, double LossIncrease);

/// <summary>What a search found.</summary>
/// <param name="Choices">The index of each layer's option.</param>
/// <param name="Trials">Everything that was tried, in order.</param>
/// <param name="Sensitivities">What the loss was last predicted to gain for each unit of a layer's error, or null where nothing was tried.</param>
internal sealed record SensitivityResult(IReadOnlyList<int> Choices, IReadOnlyList<AllocationTrial> Trials, IReadOnlyList<double>? Sensitivities);
