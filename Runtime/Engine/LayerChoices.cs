using PipelineDsl.Plans;
using PipelineDsl.Runtime.Models;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What a budget may choose for one layer: every combination of the candidates of its steps.</summary>
/// <param name="Layer">The layer in the model.</param>
/// <param name="Open">Its plan with its open steps.</param>
/// <param name="BiasBytes">Bytes of the bias as it is.</param>
/// <param name="Candidates">The candidates of each step of the chain, from the smallest result to the largest: the step itself where it is not open, and null at the end where it may be left out.</param>
internal sealed record LayerChoices(ModelLayer Layer, PlannedLayer Open, long BiasBytes, IReadOnlyList<IReadOnlyList<Step?>> Candidates)
{
    /// <summary>Fewer ranks than this are no choice, however many other candidates there are.</summary>
    private const int FewestRanks = 8;

    private IReadOnlyList<LayerChoice>? choices;
    private OrderedDictionary<string, IReadOnlyList<Step?>>? bySetting;

    /// <summary>The combinations, those of the last step next to each other.</summary>
    public IReadOnlyList<LayerChoice> Choices => choices ??= [.. Combinations(Candidates).Select(Choice)];

    /// <summary>Bytes of the smallest choice.</summary>
    public long Smallest => Combinations([.. Candidates.Select((steps, i) => HasRank(i) ? [steps[0], steps[^1]] : steps)]).Min(steps => Choice(steps).Cost);

    /// <summary>What the layer can have beside its rank, by names that mean the same in other layers, from the smallest; one without a name where nothing else is open.</summary>
    public IReadOnlyList<string> Settings => [.. BySetting.Keys];

    /// <summary>Whether a rank is open.</summary>
    public bool HasOpenRank => RankStep >= 0;

    private OrderedDictionary<string, IReadOnlyList<Step?>> BySetting => bySetting ??= new(
        Combinations([.. Candidates.Select((steps, i) => HasRank(i) ? steps.Take(1) : steps)]).Select(steps => KeyValuePair.Create(SettingOf(steps), steps)), StringComparer.Ordinal);

    private int RankStep => Enumerable.Range(0, Candidates.Count).FirstOrDefault(HasRank, -1);

    /// <summary>The choices of a layer with an open step.</summary>
    /// <param name="unit">The layer.</param>
    /// <param name="biasBytes">Bytes of the bias as it is.</param>
    public static LayerChoices Of(LayerUnit unit, long biasBytes) => new(unit.Layer, unit.Plan, biasBytes, [.. unit.Plan.Steps.Select(step =>
        (IReadOnlyList<Step?>)(!step.IsOpen ? [step] : step.MayBeLeftOut ? [.. step.Candidates(unit.Plan.Shape), null!] : step.Candidates(unit.Plan.Shape)))]);

    /// <summary>Whether a layer has a step that leaves something open.</summary>
    public static bool IsOpen(PlannedLayer plan) => plan.Steps.Any(step => step.IsOpen);

    /// <summary>Bytes of weight and bias that a plan stores.</summary>
    public static long Bytes(PlannedLayer plan, long biasBytes) => plan.BytesAfter + (plan.Steps.Any(step => step.ReplacesBias(plan.Shape)) ? plan.Shape.Rows * sizeof(float) : biasBytes);

    /// <summary>The same with at most about so many choices, of which some are kept in any case: ranks are thinned out, evenly where nothing else is open and otherwise on a geometric ladder.</summary>
    /// <param name="most">The number of choices.</param>
    /// <param name="kept">Choices to keep.</param>
    public LayerChoices Thin(int most, IEnumerable<LayerChoice> kept)
    {
        if (RankStep is not (>= 0 and var rank))
        {
            return this;
        }

        int others = Settings.Count;
        int ranks = Candidates[rank].Count - 1;
        int fit = Math.Max(FewestRanks, most / others);
        if (ranks <= fit)
        {
            return this;
        }

        var ladder = Enumerable.Range(1, fit).Select(i => others == 1 ? (int)((long)ranks * i / fit) - 1 : (int)Math.Round(Math.Pow(ranks, (double)(i - 1) / (fit - 1))) - 1);
        var held = kept.Select(choice => Array.FindIndex([.. Candidates[rank]], step => ReferenceEquals(step, choice.Steps[rank])));
        IReadOnlyList<Step?> thin = [.. ladder.Concat(held).Append(ranks).Distinct().Order().Select(i => Candidates[rank][i])];
        return new(Layer, Open, BiasBytes, [.. Candidates.Select((steps, i) => i == rank ? thin : steps)]);
    }

    /// <summary>The same with at most so many candidates a step that is not a rank, evenly spread, beside leaving it out.</summary>
    public LayerChoices ThinSettings(int most) => new(Layer, Open, BiasBytes, [.. Candidates.Select((steps, i) =>
        HasRank(i) ? steps : [.. Spread([.. steps.OfType<Step>()], most), .. steps.Where(step => step is null)])]);

    /// <summary>At most so many of some things, evenly spread, the last among them.</summary>
    public static IEnumerable<T> Spread<T>(IReadOnlyList<T> all, int most) =>
        Enumerable.Range(1, Math.Min(most, all.Count)).Select(i => all[(int)((long)all.Count * i / Math.Min(most, all.Count)) - 1]);

    /// <summary>The index of a choice among these.</summary>
    public int IndexOf(LayerChoice choice) => Enumerable.Range(0, Choices.Count).First(i => Choices[i].Steps.Zip(choice.Steps).All(item => ReferenceEquals(item.First, item.Second)));

    /// <summary>The choice that keeps a share of the layer's parameters, with one of the <see cref="Settings"/>.</summary>
    public LayerChoice AtShare(double share, string setting)
    {
        int kept = RankStep < 0 ? 0 : share >= 1
            ? Candidates[RankStep].Count - 1
            : Math.Clamp((int)Math.Floor(share * Factored.BreakEvenRank) - 1, 0, Math.Max(0, Candidates[RankStep].Count - 2));
        return Choice([.. BySetting[setting].Select((step, i) => HasRank(i) ? Candidates[i][kept] : step)]);
    }

    /// <summary>The dearest choice within a share of the layer's bytes, or the smallest.</summary>
    public LayerChoice AtByteShare(double share) =>
        Choices.Where(choice => choice.Cost <= share * (Open.BytesBefore + BiasBytes)).MaxBy(choice => choice.Cost) ?? Choices.MinBy(choice => choice.Cost)!;

    private LayerShape Factored => Open.Steps[RankStep] is Decompose step ? step.Factored(Open.Shape)! : Open.Shape;

    private bool HasRank(int step) => Open.Steps[step] is Decompose { IsOpen: true };

    private string SettingOf(IReadOnlyList<Step?> steps) => string.Join(", ", Enumerable.Range(0, steps.Count).Where(i => Open.Steps[i].IsOpen && !HasRank(i)).Select(i => NameOf(steps[i], i)));

    private string NameOf(Step? step, int place) => step?.ChoiceName ?? $"no {StepCatalog.Of(Open.Steps[place]).Name}";

    private LayerChoice Choice(IReadOnlyList<Step?> steps)
    {
        var plan = Open.With([.. steps.OfType<Step>()]);
        return new(plan, steps, Bytes(plan, BiasBytes), string.Join(", ", Enumerable.Range(0, steps.Count).Where(i => Open.Steps[i].IsOpen).Select(i => NameOf(steps[i], i))));
    }

    private static IEnumerable<IReadOnlyList<Step?>> Combinations(IReadOnlyList<IEnumerable<Step?>> candidates) =>
        candidates.Aggregate((IEnumerable<IReadOnlyList<Step?>>)[[]], (before, steps) => before.SelectMany(chain => steps.Select(step => (IReadOnlyList<Step?>)[.. chain, step])));
}

/// <summary>One choice for a layer.</summary>
/// <param name="Plan">The layer's plan with it.</param>
/// <param name="Steps">The candidates it consists of, one a step of the open plan; null where one is left out.</param>
/// <param name="Cost">The bytes of weight and bias that it stores.</param>
/// <param name="Name">What was open, in words: <c>rank 12, 3 bits</c>.</param>
internal sealed record LayerChoice(PlannedLayer Plan, IReadOnlyList<Step?> Steps, long Cost, string Name);
