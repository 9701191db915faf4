namespace PipelineDsl;

/// <summary>Something wrong with a step's settings.</summary>
/// <param name="Id">The stable code, one of <see cref="Diagnostics.DiagnosticIds"/>.</param>
/// <param name="Setting">The C# name of the setting at fault, or null for the whole step.</param>
/// <param name="Message">What is wrong, with the value, and what to do.</param>
public sealed record StepProblem(string Id, string? Setting, string Message);
