using PipelineDsl.Plans;

namespace PipelineDsl.Runtime.Comparison;

/// <summary>Compares two chains of steps, setting by setting where both have the step.</summary>
internal static class StepComparison
{
    /// <summary>What changed; nothing where both are the same.</summary>
    /// <param name="old">The old steps in their normal form.</param>
    /// <param name="current">The new ones.</param>
    /// <exception cref="FormatException">One is no step.</exception>
    public static IReadOnlyList<StepChange> Of(IReadOnlyList<string> old, IReadOnlyList<string> current)
    {
        List<StepText> before = [.. old.Select(StepText.Parse)];
        List<StepText> after = [.. current.Select(StepText.Parse)];
        var changes = new List<StepChange>();
        int next = 0;
        for (int i = 0; i < before.Count; i++)
        {
            int match = after.FindIndex(next, step => step.Name == before[i].Name);
            if (match < 0)
            {
                changes.Add(new(before[i].Name, null, old[i], null));
                continue;
            }

            changes.AddRange(Added(next, match));
            changes.AddRange(Settings(before[i], after[match]));
            next = match + 1;
        }

        return [.. changes, .. Added(next, after.Count)];

        IEnumerable<StepChange> Added(int from, int to) => Enumerable.Range(from, to - from).Select(i => new StepChange(after[i].Name, null, null, current[i]));
    }

    private static IEnumerable<StepChange> Settings(StepText old, StepText current)
    {
        var before = old.Settings.ToDictionary();
        var after = current.Settings.ToDictionary();
        return before.Keys.Union(after.Keys).Order(StringComparer.Ordinal)
            .Where(name => before.GetValueOrDefault(name) != after.GetValueOrDefault(name))
            .Select(name => new StepChange(current.Name, name, before.GetValueOrDefault(name), after.GetValueOrDefault(name)));
    }
}
