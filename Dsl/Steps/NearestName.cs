using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Finds the name a user probably meant.</summary>
public static class NearestName
{
    /// <summary>Longer texts are no slips of the finger, and comparing them costs.</summary>
    private const int MaxLength = 200;

    /// <summary>The nearest of <paramref name="names"/>, or null when none is near.</summary>
    public static string? Find(string text, IEnumerable<string> names) => text.Length > MaxLength ? null : names
        .Where(name => name.Length <= MaxLength)
        .Select(name => (name, distance: Distance(text.ToLowerInvariant(), name.ToLowerInvariant())))
        .Where(candidate => candidate.distance <= Math.Max(1, Math.Min(candidate.name.Length, text.Length) / 3 + 1) && candidate.distance < Math.Max(candidate.name.Length, text.Length))
        .OrderBy(candidate => candidate.distance)
        .ThenBy(candidate => candidate.name, StringComparer.Ordinal)
        .Select(candidate => candidate.name)
        .FirstOrDefault();

    /// <summary>"; did you mean 'x'?" or nothing.</summary>
    public static string Hint(string text, IEnumerable<string> names) => Find(text, names) is { } name ? $"; did you mean '{name}'?" : "";

    /// <summary>Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.</summary>
    private static int Distance(string a, string b)
    {
        var rows = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            rows[i, 0] = i;
        }

        for (int j = 0; j <= b.Length; j++)
        {
            rows[0, j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int replace = rows[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                int best = Math.Min(replace, Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    best = Math.Min(best, rows[i - 2, j - 2] + 1);
                }

                rows[i, j] = best;
            }
        }

        return rows[a.Length, b.Length];
    }
}
