using System.IO.Enumeration;
using PipelineDsl.Recipes;

namespace PipelineDsl.Cli;

/// <summary>Chooses names by a pattern of the recipe language, in which <c>*</c> may also stand for dots.</summary>
internal sealed class NameFilter
{
    private readonly string pattern;
    private readonly LayerPattern recipe;

    /// <exception cref="FormatException">The pattern is none.</exception>
    public NameFilter(string pattern)
    {
        this.pattern = pattern;
        recipe = new(pattern);
    }

    /// <summary>Whether a name is meant.</summary>
    public bool Matches(string name) => recipe.Matches(name) || FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false);

    /// <summary>What is wrong with a pattern, or null.</summary>
    public static string? FindProblem(string? pattern)
    {
        try
        {
            _ = pattern is null ? null : new NameFilter(pattern);
            return null;
        }
        catch (FormatException failure)
        {
            return failure.Message;
        }
    }
}
