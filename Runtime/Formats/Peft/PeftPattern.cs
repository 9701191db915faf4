using System.Text.RegularExpressions;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>How PEFT compares its patterns with names of modules.</summary>
internal static class PeftPattern
{
    /// <summary>Folders come from strangers: no expression may hold the process.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(1);

    /// <summary>Whether a module has a name, or ends with it after a dot.</summary>
    public static bool IsNamed(string module, string name) => module == name || module.EndsWith("." + name, StringComparison.Ordinal);

    /// <summary>Whether a regular expression matches all of a module's name.</summary>
    public static bool IsFullMatch(string module, string expression) => IsMatch(module, $@"\A(?:{expression})\z");

    /// <summary>Whether a key of <c>rank_pattern</c> or <c>alpha_pattern</c> hits a module: a regular expression for the name or what follows one of its dots.</summary>
    public static bool IsHit(string module, string key) => IsMatch(module, $@"\A(.*\.)?({key})$");

    private static bool IsMatch(string module, string expression) => Regex.IsMatch(module, expression, RegexOptions.CultureInvariant, Limit);
}
