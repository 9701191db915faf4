using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace PipelineDsl.Generators.Emit;

/// <summary>Turns names of recipes and layers into names of C#.</summary>
internal static class Identifiers
{
    /// <summary>Names that every class has already.</summary>
    private static readonly HashSet<string> Taken = new(["Equals", "Finalize", "GetHashCode", "GetType", "MemberwiseClone", "ReferenceEquals", "ToString"], StringComparer.Ordinal);

    /// <summary><c>my-tiny_recipe</c> as <c>MyTinyRecipe</c>; may start with a digit.</summary>
    public static string Pascal(string name)
    {
        var text = new StringBuilder();
        bool upper = true;
        foreach (char c in BackingFieldOwner(name))
        {
            if (!char.IsLetterOrDigit(c))
            {
                upper = true;
                continue;
            }

            text.Append(upper ? char.ToUpperInvariant(c) : c);
            upper = false;
        }

        return text.Length == 0 ? "_" : text.ToString();
    }

    /// <summary>As <see cref="Pascal"/>, a name that may stand in a class of another name beside the names already used there.</summary>
    public static string Member(string name, string enclosing, ISet<string> used)
    {
        string text = Pascal(name);
        text = char.IsDigit(text[0]) ? "_" + text : text;
        while (text == enclosing || Taken.Contains(text) || !used.Add(text))
        {
            text += "_";
        }

        return text;
    }

    /// <summary>The property whose backing field TorchSharp registers: <c>&lt;Head&gt;k__BackingField</c>.</summary>
    private static IEnumerable<char> BackingFieldOwner(string name) =>
        name.StartsWith("<", StringComparison.Ordinal) && name.IndexOf('>') is > 1 and var end ? name.Substring(1, end - 1) : name.AsEnumerable();
}
