using System.Globalization;

namespace PipelineDsl;

/// <summary>Something wrong with a step's settings.</summary>
/// <param name="Id">The stable code, one of <see cref="Diagnostics.DiagnosticIds"/>.</param>
/// <param name="Setting">The C# name of the setting at fault, or null for the whole step.</param>
/// <param name="Message">What is wrong, with the value, and what to do.</param>
public sealed record StepProblem(string Id, string? Setting, string Message)
{
    /// <summary>The setting's value that is nearest and right, where there is one; else null.</summary>
    public string? Replacement { get; init; }

    /// <summary>A number too large, and the largest there is.</summary>
    internal static StepProblem AtMost(string id, string setting, long largest, string message) =>
        new(id, setting, message) { Replacement = largest < 1 ? null : largest.ToString(CultureInfo.InvariantCulture) };
}
