namespace PipelineDsl.Runtime.Allocation;

/// <summary>Chooses one option a layer so that the sum of distortions is least within a budget: the multiple-choice knapsack, solved exactly.</summary>
/// <remarks>
/// Layer by layer it keeps every non-dominated (cost, distortion) state (arXiv:2308.10438, dynamic programme, in its list form: no unit is needed and
/// a small budget bounds the list by itself). States that cannot beat a greedy solution any more, by the Lagrangian bound of the layers to come,
/// are dropped; this is what keeps lists short where budgets are gigabytes.
/// Equal distortions: the smaller cost wins, then the smaller option index.
/// </remarks>
public static class BudgetAllocator
{
    /// <summary>Longer lists are thinned out evenly in cost; what is left is feasible and no longer proved optimal.</summary>
    private const int MaxStates = 1 << 16;

    /// <summary>Bounds are sums of many doubles: states this close to the best known are kept.</summary>
    private const double Slack = 1e-9;

    /// <summary>The smallest budget that can be met: every layer takes its smallest option.</summary>
    public static long SmallestBudget(IReadOnlyList<IReadOnlyList<AllocationOption>> layers) => layers.Sum(options => options.Min(option => option.Cost));

    /// <summary>Chooses the options.</summary>
    /// <param name="layers">The options of each layer, at least one.</param>
    /// <param name="budget">The largest sum of costs.</param>
    /// <exception cref="ArgumentException">A layer has no option, a cost is negative or a distortion is not finite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The budget is below <see cref="SmallestBudget"/>.</exception>
    public static BudgetAllocation Allocate(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, long budget) => Allocate(layers, budget, MaxStates);

    /// <summary>As above, with another limit for the length of lists.</summary>
    internal static BudgetAllocation Allocate(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, long budget, int maxStates)
    {
        Check(layers, budget);
        var useful = layers.Select(Undominated).ToList();
        var allocation = AllocateUseful([.. layers.Zip(useful).Select(item => (IReadOnlyList<AllocationOption>)[.. item.Second.Select(option => item.First[option])])], budget, maxStates);
        return allocation with { Choices = [.. allocation.Choices.Select((choice, layer) => useful[layer][choice])] };
    }

    /// <summary>The options that no other one beats in cost and distortion, of equal ones the first; in their order.</summary>
    private static List<int> Undominated(IReadOnlyList<AllocationOption> options)
    {
        double least = double.PositiveInfinity;
        List<int> useful = [];
        foreach (int i in Enumerable.Range(0, options.Count).OrderBy(i => options[i].Cost).ThenBy(i => options[i].Distortion))
        {
            if (options[i].Distortion < least)
            {
                least = options[i].Distortion;
                useful.Add(i);
            }
        }

        return [.. useful.Order()];
    }

    private static BudgetAllocation AllocateUseful(List<IReadOnlyList<AllocationOption>> layers, long budget, int maxStates)
    {
        var relaxation = LinearRelaxation.Of(layers, budget);
        double slack = Slack * layers.Sum(options => options.Max(option => Math.Abs(option.Distortion)));
        var lists = new List<StateList> { StateList.Start };
        double greedy = Sum(layers, relaxation.Greedy);
        double[] after = relaxation.After(layers);
        bool exact = true;
        for (int layer = 0; layer < layers.Count; layer++)
        {
            double limit = greedy + slack - after[layer] + (relaxation.Multiplier * budget);
            var next = StateList.Extend(lists[^1], layers[layer], budget - relaxation.CheapestAfter[layer], relaxation.Multiplier, limit);
            exact &= next.Count <= maxStates;
            lists.Add(next.Thin(maxStates));
        }

        // Thinning may have lost every state that is as good as the greedy choice.
        int[] choices = lists[^1].Count == 0 ? relaxation.Greedy : Backtrack(lists);
        return new(choices, choices.Select((choice, layer) => layers[layer][choice].Cost).Sum(), Sum(layers, choices), relaxation.LowerBound, exact);
    }

    private static double Sum(List<IReadOnlyList<AllocationOption>> layers, int[] choices) => choices.Select((choice, layer) => layers[layer][choice].Distortion).Sum();

    /// <summary>The last state of a list has the least distortion.</summary>
    private static int[] Backtrack(List<StateList> lists)
    {
        int[] choices = new int[lists.Count - 1];
        int state = lists[^1].Count - 1;
        for (int layer = choices.Length - 1; layer >= 0; layer--)
        {
            choices[layer] = lists[layer + 1].Option(state);
            state = lists[layer + 1].Parent(state);
        }

        return choices;
    }

    private static void Check(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, long budget)
    {
        foreach (var options in layers)
        {
            if (options.Count == 0 || options.Any(option => option.Cost < 0 || !double.IsFinite(option.Distortion)))
            {
                throw new ArgumentException("every layer needs an option, costs at least 0 and finite distortions", nameof(layers));
            }
        }

        long smallest = SmallestBudget(layers);
        if (budget < smallest)
        {
            throw new ArgumentOutOfRangeException(nameof(budget), budget, $"the smallest attainable budget is {smallest}");
        }
    }
}
