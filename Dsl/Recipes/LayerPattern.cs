using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl.Recipes;

/// <summary>A glob over layer paths: <c>*</c> within a segment, <c>**</c> for any number of segments, <c>{a,b}</c> alternatives.</summary>
/// <remarks>A path may itself hold <c>*</c> (the index of a list whose length the source does not show): it then stands for any index.</remarks>
public sealed class LayerPattern
{
    /// <summary>Braces multiply; beyond this a pattern is a mistake or an attack.</summary>
    private const int MaxAlternatives = 1000;

    private readonly List<string[]> alternatives;

    /// <summary>Understands a pattern.</summary>
    /// <exception cref="FormatException">Braces that do not close, or an empty segment.</exception>
    public LayerPattern(string text)
    {
        Text = text;
        alternatives = [.. Expand(text).Take(MaxAlternatives + 1).Select(alternative => alternative.Split('.'))];
        if (alternatives.Count > MaxAlternatives)
        {
            throw new FormatException($"the braces of '{text}' stand for more than {MaxAlternatives} patterns; write fewer alternatives");
        }

        if (alternatives.Any(segments => segments.Any(segment => segment.Length == 0)))
        {
            throw new FormatException($"'{text}' has an empty segment; write names separated by single dots");
        }
    }

    /// <summary>The pattern as written.</summary>
    public string Text { get; }

    /// <summary>Whether a path matches.</summary>
    public bool Matches(string path)
    {
        string[] segments = path.Split('.');
        return alternatives.Any(pattern => MatchSegments(pattern, 0, segments, 0));
    }

    private static bool MatchSegments(string[] pattern, int p, string[] path, int s)
    {
        if (p == pattern.Length)
        {
            return s == path.Length;
        }

        if (pattern[p] == "**")
        {
            return MatchSegments(pattern, p + 1, path, s) || (s < path.Length && MatchSegments(pattern, p, path, s + 1));
        }

        return s < path.Length && MatchSegment(pattern[p], 0, path[s], 0) && MatchSegments(pattern, p + 1, path, s + 1);
    }

    private static bool MatchSegment(string pattern, int p, string text, int t)
    {
        if (text == "*")
        {
            return pattern.All(c => char.IsDigit(c) || c == '*');
        }

        if (p == pattern.Length)
        {
            return t == text.Length;
        }

        if (pattern[p] == '*')
        {
            return MatchSegment(pattern, p + 1, text, t) || (t < text.Length && MatchSegment(pattern, p, text, t + 1));
        }

        return t < text.Length && pattern[p] == text[t] && MatchSegment(pattern, p + 1, text, t + 1);
    }

    private static IEnumerable<string> Expand(string text)
    {
        int open = text.IndexOf('{');
        if (open < 0)
        {
            return text.IndexOf('}') < 0 ? [text] : throw new FormatException($"'{text}' closes a brace that it does not open");
        }

        int depth = 0;
        int start = open + 1;
        var choices = new List<string>();
        for (int i = open; i < text.Length; i++)
        {
            if (text[i] == '{')
            {
                depth++;
            }
            else if (text[i] == '}' && --depth == 0)
            {
                choices.Add(text.Substring(start, i - start));
                string head = text.Substring(0, open);
                string tail = text.Substring(i + 1);
                return choices.SelectMany(choice => Expand(head + choice + tail));
            }
            else if (text[i] == ',' && depth == 1)
            {
                choices.Add(text.Substring(start, i - start));
                start = i + 1;
            }
        }

        throw new FormatException($"'{text}' opens a brace that it does not close");
    }
}
