using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl.Recipes;

/// <summary>A glob over layer paths: <c>*</c> within a segment, <c>**</c> for any number of segments, <c>{a,b}</c> alternatives.</summary>
/// <remarks>
/// A path may itself hold <c>*</c>, any index of a list whose length the source does not show: only a <c>*</c> matches it.
/// A path that ends in <c>**</c> stands for members that the source does not show: whatever may reach below matches it.
/// </remarks>
public sealed class LayerPattern
{
    /// <summary>Braces multiply; beyond this a pattern is a mistake or an attack.</summary>
    private const int MaxAlternatives = 1000;

    private readonly List<string[]> alternatives;

    private const int MaxLength = 1000;

    /// <summary>No empty segment, as a regular expression; whether braces close is beyond one.</summary>
    internal const string SegmentsPattern = @"^[^.]+(?:\.[^.]+)*$";

    /// <summary>Understands a pattern.</summary>
    /// <exception cref="FormatException">Braces that do not close, an empty segment, or <c>**</c> in a part of one.</exception>
    public LayerPattern(string text)
    {
        Text = text;
        if (text.Length > MaxLength)
        {
            throw new FormatException($"the pattern has {text.Length} characters; write at most {MaxLength}");
        }

        alternatives = [.. Expand(text).Take(MaxAlternatives + 1).Select(alternative => alternative.Split('.'))];
        if (alternatives.Count > MaxAlternatives)
        {
            throw new FormatException($"the braces of '{text}' stand for more than {MaxAlternatives} patterns; write fewer alternatives");
        }

        if (alternatives.Any(segments => segments.Any(segment => segment.Length == 0)))
        {
            throw new FormatException($"'{text}' has an empty segment; write names separated by single dots");
        }

        if (alternatives.Any(segments => segments.Any(segment => segment.Length > 2 && segment.Contains("**"))))
        {
            throw new FormatException($"'{text}' has a '**' beside other signs, and it stands for whole segments; write '*' for a part of one, or dots around '**'");
        }
    }

    /// <summary>The pattern as written.</summary>
    public string Text { get; }

    /// <summary>Whether a path matches.</summary>
    public bool Matches(string path) => Matches(path.Split('.'));

    /// <summary>Whether a path in segments matches.</summary>
    internal bool Matches(string[] segments)
    {
        foreach (string[] pattern in alternatives)
        {
            if (MatchSegments(pattern, segments))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Walks both sides once, going back to the last <c>**</c> only: never more than pattern × path steps.</summary>
    private static bool MatchSegments(string[] pattern, string[] path)
    {
        int p = 0;
        int star = -1;
        int resume = 0;
        for (int s = 0; s < path.Length;)
        {
            if (path[s] == "**")
            {
                return p < pattern.Length || star >= 0;
            }

            if (p < pattern.Length && pattern[p] == "**")
            {
                star = p++;
                resume = s;
            }
            else if (p < pattern.Length && MatchSegment(pattern[p], path[s]))
            {
                p++;
                s++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                s = ++resume;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == "**")
        {
            p++;
        }

        return p == pattern.Length;
    }

    private static bool MatchSegment(string pattern, string text)
    {
        int p = 0;
        int star = -1;
        int resume = 0;
        for (int t = 0; t < text.Length;)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                resume = t;
            }
            else if (p < pattern.Length && pattern[p] == text[t])
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                t = ++resume;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
        {
            p++;
        }

        return p == pattern.Length;
    }

    private static IEnumerable<string> Expand(string text)
    {
        int open = text.IndexOf('{');
        if (open < 0)
        {
            return text.IndexOf('}') < 0 ? [text] : throw new FormatException($"'{text}' closes a brace that it does not open; drop the '}}' or add a '{{'");
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

        throw new FormatException($"'{text}' opens a brace that it does not close; add the '}}'");
    }
}
