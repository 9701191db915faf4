namespace PipelineDsl.Runtime.Allocation;

/// <summary>The non-dominated choices for the first layers of a problem: costs rise, distortions fall.</summary>
internal sealed class StateList
{
    private readonly List<State> states;

    private StateList(List<State> states) => this.states = states;

    /// <summary>The choice for no layer.</summary>
    public static StateList Start { get; } = new([new(0, 0, -1, -1)]);

    /// <summary>Number of states.</summary>
    public int Count => states.Count;

    /// <summary>The option that a state takes for the last layer.</summary>
    public int Option(int state) => states[state].Option;

    /// <summary>The state of the list before that it extends.</summary>
    public int Parent(int state) => states[state].Parent;

    /// <summary>Adds a layer.</summary>
    /// <param name="before">The states of the layers before.</param>
    /// <param name="options">The layer's options.</param>
    /// <param name="budget">The largest cost that leaves room for the later layers.</param>
    /// <param name="multiplier">t ≥ 0.</param>
    /// <param name="limit">States with D + t C above this are dropped.</param>
    public static StateList Extend(StateList before, IReadOnlyList<AllocationOption> options, long budget, double multiplier, double limit)
    {
        List<State> merged = [];
        List<State> spare = [];
        double least = before.Count == 0 ? double.PositiveInfinity : before.states.Min(state => state.Distortion + (multiplier * state.Cost));
        for (int option = 0; option < options.Count; option++)
        {
            var (cost, distortion) = options[option];
            if (least + distortion + (multiplier * cost) > limit)
            {
                continue;
            }

            spare.Clear();
            Merge(merged, before.states, cost, distortion, option, budget, multiplier, limit, spare);
            (merged, spare) = (spare, merged);
        }

        return new(merged);
    }

    /// <summary>At most so many states, spread evenly over the costs; the cheapest and the least distorted stay.</summary>
    public StateList Thin(int most)
    {
        if (Count <= most)
        {
            return this;
        }

        long first = states[0].Cost;
        long unit = ((states[^1].Cost - first) / (most - 1)) + 1;
        var kept = new List<State> { states[0] };
        for (int i = 1; i < Count; i++)
        {
            if (i + 1 == Count || (states[i + 1].Cost - first) / unit != (states[i].Cost - first) / unit)
            {
                kept.Add(states[i]);
            }
        }

        return new(kept);
    }

    /// <summary>Merges sorted states with the earlier ones moved by an option. Of equal states the one already there, with the smaller option index, stays.</summary>
    private static void Merge(List<State> merged, List<State> before, long cost, double distortion, int option, long budget, double multiplier, double limit, List<State> result)
    {
        int old = 0;
        for (int i = 0; i < before.Count; i++)
        {
            var state = new State(before[i].Cost + cost, before[i].Distortion + distortion, i, option);
            if (state.Cost > budget)
            {
                break;
            }

            if (state.Distortion + (multiplier * state.Cost) > limit)
            {
                continue;
            }

            while (old < merged.Count && !state.ComesBefore(merged[old]))
            {
                Append(result, merged[old++]);
            }

            Append(result, state);
        }

        for (; old < merged.Count; old++)
        {
            Append(result, merged[old]);
        }
    }

    private static void Append(List<State> result, State state)
    {
        if (result.Count == 0 || state.Distortion < result[^1].Distortion)
        {
            result.Add(state);
        }
    }

    private readonly record struct State(long Cost, double Distortion, int Parent, int Option)
    {
        public bool ComesBefore(State other) => Cost < other.Cost || (Cost == other.Cost && Distortion < other.Distortion);
    }
}
