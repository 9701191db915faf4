using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>The layers that a recipe's rules are tried on.</summary>
/// <remarks>
/// The source does not show how long a list is. So each list has one item for every index that the recipe names, and one
/// that stands for all others.
/// </remarks>
internal static class LayerCandidates
{
    private const int MaxIndices = 16;

    public static IReadOnlyList<LayerCandidate> Of(ModelTree tree, EquatableArray<Rule> rules)
    {
        var indices = rules.SelectMany(rule => Numbers(rule.Match)).Distinct(StringComparer.Ordinal).Take(MaxIndices).ToList();
        return [.. tree.Members.SelectMany(member => Paths(member.Path, indices).Select(path => new LayerCandidate(path, member.TypeName, member.Kind, member.Shape)))];
    }

    private static IEnumerable<string> Paths(string path, List<string> indices)
    {
        IEnumerable<string> paths = [""];
        foreach (string segment in path.Split('.'))
        {
            string[] choices = segment == "*" ? [segment, .. indices] : [segment];
            paths = paths.SelectMany(head => choices.Select(choice => head.Length == 0 ? choice : head + "." + choice));
        }

        return paths;
    }

    /// <summary>Runs of digits that are no part of a name: 0 and 12 in <c>layers.{0,12}.fc1</c>.</summary>
    private static IEnumerable<string> Numbers(string pattern) => pattern
        .Split('.', '{', '}', ',', '*')
        .Where(part => part.Length > 0 && part.All(c => c is >= '0' and <= '9'));
}
