using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using PipelineDsl.Recipes;

namespace PipelineDsl.Plans;

/// <summary>The resolved plan as committed text: sorted, one line a layer, no times, no machine, so that its diff shows what really changes.</summary>
public static class LockFile
{
    /// <summary>Ends the name of every lock file.</summary>
    public const string Suffix = ".recipe.lock.yaml";

    /// <summary>The start of a digest tells two of them apart.</summary>
    private static readonly Regex Digest = new("(sha256:[0-9a-f]{12})[0-9a-f]+", RegexOptions.CultureInvariant);

    private const string DigestPrefix = "sha256:";

    private static readonly Regex Layer = new(@"^\{ bytes: (\d+), bytesAfter: (\d+), shape: (\d+)x(\d+), steps: '((?:[^']|'')*)' \}$", RegexOptions.CultureInvariant);

    private static readonly Regex Values = new(@"(\w+): ([^\s,{}']+)", RegexOptions.CultureInvariant);

    /// <summary>The text of a plan's lock file.</summary>
    public static string Write(Plan plan)
    {
        var text = new StringBuilder();
        text.Append("# The resolved plan of recipe '").Append(plan.Recipe).Append("': written by the build, reviewed by people. Update it with -p:PipelineDslUpdateLock=true.\n");
        text.Append("lock: 1\n");
        text.Append("recipe: ").Append(plan.Recipe).Append('\n');
        text.Append("model: ").Append(plan.Model).Append('\n');
        text.Append("seed: ").Append(plan.Seed).Append('\n');
        text.Append("digests:\n");
        foreach (var digest in plan.Digests.OrderBy(digest => digest.Key, StringComparer.Ordinal))
        {
            text.Append("  ").Append(digest.Key).Append(": sha256:").Append(digest.Value).Append('\n');
        }

        text.Append("layers:\n");
        foreach (var layer in plan.Layers.OrderBy(layer => layer.Path, StringComparer.Ordinal))
        {
            text.Append("  ").Append(layer.Path).Append(": { bytes: ").Append(layer.BytesBefore).Append(", bytesAfter: ").Append(layer.BytesAfter)
                .Append(", shape: ").Append(layer.Shape.Rows).Append('x').Append(layer.Shape.Columns)
                .Append(", steps: '").Append(layer.Describe().Replace("'", "''")).Append("' }\n");
        }

        if (plan.Train is { } train)
        {
            text.Append("train: { ").Append(string.Join(", ", RecipeCatalog.Train.Select(setting => setting.Name + ": " + SettingDescriptor.Format(setting.Get(train))))).Append(" }\n");
        }

        if (plan.Analyze.Count > 0)
        {
            text.Append("analyze:\n");
            foreach (var analysis in plan.Analyze)
            {
                string name = AnalysisCatalog.Of(analysis).Name;
                text.Append("  ").Append(name).Append(": ").Append(analysis.ToString().Substring(name.Length + 1)).Append('\n');
            }
        }

        text.Append("totals: { bytes: ").Append(plan.Layers.Sum(layer => layer.BytesBefore)).Append(", bytesAfter: ").Append(plan.Layers.Sum(layer => layer.BytesAfter)).Append(" }\n");
        return text.ToString();
    }

    /// <summary>Reads a lock file.</summary>
    /// <exception cref="FormatException">It is not what <see cref="Write"/> gives.</exception>
    public static LockedPlan Read(string text)
    {
        var entries = Lines(text);
        string Value(string name) => entries.FirstOrDefault(entry => entry.Section == name && entry.Name == name).Value ?? throw new FormatException($"it has no '{name}'");
        if (Value("lock") != "1")
        {
            throw new FormatException($"it has layout {Value("lock")}, and this library reads 1");
        }

        return new(
            Value("recipe"),
            Value("model"),
            long.TryParse(Value("seed"), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seed) ? seed : throw new FormatException($"its seed is '{Value("seed")}'"),
            entries.Where(entry => entry.Section == "digests").ToDictionary(entry => entry.Name, entry => entry.Value.StartsWith(DigestPrefix, StringComparison.Ordinal) ? entry.Value.Substring(DigestPrefix.Length) : entry.Value),
            [.. entries.Where(entry => entry.Section == "layers").Select(entry => ReadLayer(entry.Name, entry.Value))],
            entries.Where(entry => entry.Section == "analyze").ToDictionary(entry => entry.Name, entry => entry.Value),
            entries.FirstOrDefault(entry => entry.Section == "train").Value);
    }

    /// <summary>What differs between a lock file and the plan, in words; nothing when they agree.</summary>
    /// <param name="locked">The text of the lock file.</param>
    /// <param name="planned">The text that <see cref="Write"/> gives for the plan.</param>
    public static IReadOnlyList<string> Differences(string locked, string planned)
    {
        var before = Entries(locked);
        var after = Entries(planned);
        return [.. before.Keys.Union(after.Keys).OrderBy(key => key, StringComparer.Ordinal)
            .Select(key => Difference(key, before, after))
            .OfType<string>()];
    }

    private static string? Difference(string key, Dictionary<string, string> before, Dictionary<string, string> after)
    {
        if (!before.TryGetValue(key, out string? old))
        {
            return $"{key} is new";
        }

        if (!after.TryGetValue(key, out string? now))
        {
            return $"{key} is gone";
        }

        return old == now ? null : $"{key}: {Changes(old, now)}";
    }

    /// <summary>The values that differ, where both sides name the same ones.</summary>
    private static string Changes(string old, string now)
    {
        var before = Values.Matches(old).Cast<Match>().Select(match => (Name: match.Groups[1].Value, Value: match.Groups[2].Value)).ToList();
        var after = Values.Matches(now).Cast<Match>().Select(match => (Name: match.Groups[1].Value, Value: match.Groups[2].Value)).ToList();
        if (before.Count == 0 || !before.Select(item => item.Name).SequenceEqual(after.Select(item => item.Name)))
        {
            return $"was {Digest.Replace(old, "$1…")}, is {Digest.Replace(now, "$1…")}";
        }

        return string.Join(", ", before.Zip(after, (a, b) => a.Value == b.Value ? null : $"{a.Name} {a.Value} → {b.Value}").OfType<string>());
    }

    private static LockedLayer ReadLayer(string path, string text)
    {
        var match = Layer.Match(text);
        long Number(int group) => long.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture);
        return match.Success
            ? new(path, Number(3), Number(4), StepText.SplitChain(match.Groups[5].Value.Replace("''", "'")), Number(1), Number(2))
            : throw new FormatException($"its layer '{path}' is '{text}'");
    }

    private static Dictionary<string, string> Entries(string text)
    {
        var entries = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (section, name, value) in Lines(text))
        {
            entries[section == name ? name : section == "layers" ? $"layer '{name}'" : $"{section}.{name}"] = value;
        }

        return entries;
    }

    private static List<(string Section, string Name, string Value)> Lines(string text)
    {
        var entries = new List<(string, string, string)>();
        string section = "";
        foreach (string line in text.Replace("\r\n", "\n").Split('\n'))
        {
            int colon = line.IndexOf(": ", StringComparison.Ordinal);
            if (line.StartsWith("#", StringComparison.Ordinal) || line.Trim().Length == 0)
            {
                continue;
            }

            if (!line.StartsWith(" ", StringComparison.Ordinal))
            {
                section = line.Split(':')[0];
            }

            if (colon > 0)
            {
                entries.Add((section, line.Substring(0, colon).Trim(), line.Substring(colon + 2).Trim()));
            }
        }

        return entries;
    }
}
