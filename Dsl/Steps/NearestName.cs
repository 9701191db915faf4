using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Finds the name a user probably meant.</summary>
public static class NearestName
{
    /// <summary>Longer texts are no slips of the finger, and comparing them costs.</summary>
    private const int MaxLength = 200;

    private const int UsualLength = 24;

    /// <summary>The nearest of <paramref name="names"/>, or null when none is near.</summary>
    public static string? Find(string text, IEnumerable<string> names)
    {
        string? nearest = null;
        if (text.Length > MaxLength)
        {
            return nearest;
        }

        int least = int.MaxValue;
        int[,]? rows = null;
        foreach (string name in names.Where(name => name.Length <= MaxLength))
        {
            int shorter = Math.Min(name.Length, text.Length);
            int longer = Math.Max(name.Length, text.Length);
            int allowed = Math.Min(Math.Max(1, (shorter / 3) + 1), longer - 1);
            if (longer - shorter > allowed)
            {
                continue;
            }

            if (rows is null || rows.GetLength(1) <= name.Length)
            {
                rows = new int[3, Math.Max(UsualLength, name.Length + 1)];
            }

            int distance = Distance(text, name, rows);
            if (distance <= allowed && (distance < least || (distance == least && string.CompareOrdinal(name, nearest) < 0)))
            {
                (nearest, least) = (name, distance);
            }
        }

        return nearest;
    }

    /// <summary>"; did you mean 'x'?" or nothing.</summary>
    public static string Hint(string text, IEnumerable<string> names) => Hint(Find(text, names));

    /// <summary>"; did you mean 'x'?" or nothing, for a name that was found.</summary>
    public static string Hint(string? name) => name is null ? "" : $"; did you mean '{name}'?";

    /// <summary>Edits (insert, delete, replace, swap of neighbours) that turn one text into the other, in whatever case they are written.</summary>
    private static int Distance(string a, string b, int[,] rows)
    {
        for (int j = 0; j <= b.Length; j++)
        {
            rows[0, j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            int here = i % 3;
            int above = (i + 2) % 3;
            rows[here, 0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replace = rows[above, j - 1] + (Same(a[i - 1], b[j - 1]) ? 0 : 1);
                int best = Math.Min(replace, Math.Min(rows[above, j], rows[here, j - 1]) + 1);
                if (i > 1 && j > 1 && Same(a[i - 1], b[j - 2]) && Same(a[i - 2], b[j - 1]))
                {
                    best = Math.Min(best, rows[(i + 1) % 3, j - 2] + 1);
                }

                rows[here, j] = best;
            }
        }

        return rows[a.Length % 3, b.Length];
    }

    private static bool Same(char a, char b) => a == b || char.ToLowerInvariant(a) == char.ToLowerInvariant(b);
}
