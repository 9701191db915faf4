using PipelineDsl.Plans;
using PipelineDsl.Runtime.Models;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What a budget may choose for one layer.</summary>
/// <param name="Layer">The layer in the model.</param>
/// <param name="Open">Its plan with the open step.</param>
/// <param name="Plans">Its plans: one a candidate rank from the smallest, and at the end the one without the open step, which keeps the weight's rank.</param>
/// <param name="Costs">The bytes of weight and bias that each stores.</param>
internal sealed record LayerChoices(ModelLayer Layer, PlannedLayer Open, IReadOnlyList<PlannedLayer> Plans, IReadOnlyList<long> Costs)
{
    /// <summary>The candidates of the open step; one fewer than plans.</summary>
    public IReadOnlyList<Step> Candidates { get; private init; } = [];

    /// <summary>The choices of a layer with an open step.</summary>
    /// <param name="unit">The layer.</param>
    /// <param name="most">The largest number of ranks.</param>
    /// <param name="biasBytes">Bytes of the bias as it is.</param>
    public static LayerChoices Of(LayerUnit unit, int most, long biasBytes)
    {
        int open = Index(unit.Plan);
        var candidates = unit.Plan.Steps[open].Candidates(unit.Plan.Shape, most);
        var plans = candidates.Select(candidate => unit.Plan.With([.. unit.Plan.Steps.Select((step, i) => i == open ? candidate : step)]))
            .Append(unit.Plan.With([.. unit.Plan.Steps.Where((_, i) => i != open)])).ToList();
        return new(unit.Layer, unit.Plan, plans, [.. plans.Select(plan => Bytes(plan, biasBytes))]) { Candidates = candidates };
    }

    /// <summary>Whether a layer has a step whose rank is open.</summary>
    public static bool IsOpen(PlannedLayer plan) => plan.Steps.Any(step => step.IsOpen);

    /// <summary>Bytes of weight and bias that a plan stores.</summary>
    public static long Bytes(PlannedLayer plan, long biasBytes) => plan.BytesAfter + (plan.Steps.Any(step => step.ReplacesBias(plan.Shape)) ? plan.Shape.Rows * sizeof(float) : biasBytes);

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
        return (this with
        {
            Plans = [.. indices.Select(i => Plans[i])],
            Costs = [.. indices.Select(i => Costs[i])],
            Candidates = [.. indices.Where(i => i < Candidates.Count).Select(i => Candidates[i])],
        }, indices.IndexOf(kept));
    }

    /// <summary>The plan that ends with a candidate: what comes after the open step is left out.</summary>
    public PlannedLayer Decomposed(int candidate) => Open.With([.. Open.Steps.Take(Index(Open)), Candidates[candidate]]);

    /// <summary>The index of the plan that keeps a share of the layer's parameters.</summary>
    public int AtShare(double share) => share >= 1
        ? Plans.Count - 1
        : Math.Clamp((int)Math.Floor(share * Factored.BreakEvenRank) - 1, 0, Math.Max(0, Candidates.Count - 1));

    private LayerShape Factored => Open.Steps[Index(Open)] is Decompose step ? step.Factored(Open.Shape)! : Open.Shape;

    private static int Index(PlannedLayer plan) => Enumerable.Range(0, plan.Steps.Count).First(i => plan.Steps[i].IsOpen);
}
