using PipelineDsl.Plans;
using PipelineDsl.Runtime.Models;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What a budget may choose for one layer.</summary>
/// <param name="Layer">The layer in the model.</param>
/// <param name="Open">Its plan with the open step.</param>
/// <param name="Plans">Its plans: one a candidate from the smallest, and at the end the one without the open step, which leaves the weight as it is.</param>
/// <param name="Costs">The bytes of weight and bias that each stores.</param>
internal sealed record LayerChoices(ModelLayer Layer, PlannedLayer Open, IReadOnlyList<PlannedLayer> Plans, IReadOnlyList<long> Costs)
{
    /// <summary>The candidates of the open step; one fewer than plans.</summary>
    public IReadOnlyList<Step> Candidates { get; private init; } = [];

    /// <summary>The choices of a layer with an open step.</summary>
    /// <param name="unit">The layer.</param>
    /// <param name="most">The largest number of candidates.</param>
    /// <param name="biasBytes">Bytes of the bias as it is.</param>
    public static LayerChoices Of(LayerUnit unit, int most, long biasBytes)
    {
        int open = Index(unit.Plan);
        var candidates = unit.Plan.Steps[open].Candidates(unit.Plan.Shape, most);
        var plans = candidates.Select(candidate => unit.Plan.With([.. unit.Plan.Steps.Select((step, i) => i == open ? candidate : step)]))
            .Append(unit.Plan.With([.. unit.Plan.Steps.Where((_, i) => i != open)])).ToList();
        return new(unit.Layer, unit.Plan, plans, [.. plans.Select(plan => Bytes(plan, biasBytes))]) { Candidates = candidates };
    }

    /// <summary>Whether a layer has a step whose numbers are open.</summary>
    public static bool IsOpen(PlannedLayer plan) => plan.Steps.Any(step => step.IsOpen);

    /// <summary>Bytes of weight and bias that a plan stores.</summary>
    public static long Bytes(PlannedLayer plan, long biasBytes) => plan.BytesAfter + (plan.Steps.Any(step => step.ReplacesBias(plan.Shape)) ? plan.Shape.Rows * sizeof(float) : biasBytes);

    /// <summary>The step that is open.</summary>
    public Step OpenStep => Open.Steps[Index(Open)];

    /// <summary>The same with at most so many candidates, evenly spread, one of which is kept in any case.</summary>
    /// <param name="most">The largest number of candidates.</param>
    /// <param name="kept">The index of a plan.</param>
    /// <returns>The choices, and the new index of the kept plan.</returns>
    public (LayerChoices Layer, int Kept) Thin(int most, int kept)
    {
        if (Candidates.Count <= most)
        {
            return (this, kept);
        }

        List<int> indices = [.. Enumerable.Range(1, most).Select(i => (int)((long)Candidates.Count * i / most) - 1).Append(kept).Append(Candidates.Count).Distinct().Order()];
        return (Take(indices), indices.IndexOf(kept));
    }

    /// <summary>The same with the plans that no other one beats in bytes and error, of equal ones the first; and two more in any case: one that is named, and the one without the open step.</summary>
    /// <param name="errors">The error of each plan.</param>
    /// <param name="kept">The index of a plan.</param>
    /// <returns>The choices, their errors, and the new index of the kept plan.</returns>
    public (LayerChoices Layer, double[] Errors, int Kept) Undominated(IReadOnlyList<double> errors, int kept)
    {
        double least = double.PositiveInfinity;
        var indices = new SortedSet<int> { kept, Plans.Count - 1 };
        foreach (int i in Enumerable.Range(0, Plans.Count).OrderBy(i => Costs[i]).ThenBy(i => errors[i]))
        {
            if (errors[i] < least)
            {
                least = errors[i];
                indices.Add(i);
            }
        }

        List<int> all = [.. indices];
        return (Take(all), [.. all.Select(i => errors[i])], all.IndexOf(kept));
    }

    /// <summary>The plan that ends with a candidate: what comes after the open step is left out.</summary>
    public PlannedLayer Decomposed(int candidate) => Open.With([.. Open.Steps.Take(Index(Open)), Candidates[candidate]]);

    /// <summary>The index of the plan that keeps a share of the layer's parameters, or of its bytes where the choice is not one of ranks.</summary>
    public int AtShare(double share) => share >= 1 ? Plans.Count - 1
        : OpenStep is Decompose step ? Math.Clamp((int)Math.Floor(share * step.Factored(Open.Shape)!.BreakEvenRank) - 1, 0, Math.Max(0, Candidates.Count - 1))
        : Math.Max(0, Costs.Take(Candidates.Count).Count(cost => cost <= share * Costs[^1]) - 1);

    /// <summary>The same with some of the plans, among them the one without the open step.</summary>
    private LayerChoices Take(List<int> indices) => this with
    {
        Plans = [.. indices.Select(i => Plans[i])],
        Costs = [.. indices.Select(i => Costs[i])],
        Candidates = [.. indices.Where(i => i < Candidates.Count).Select(i => Candidates[i])],
    };

    private static int Index(PlannedLayer plan) => Enumerable.Range(0, plan.Steps.Count).First(i => plan.Steps[i].IsOpen);
}
