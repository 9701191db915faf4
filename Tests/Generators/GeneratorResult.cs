using Microsoft.CodeAnalysis;

namespace PipelineDsl.Generators.Tests;

/// <summary>What one run of the generator gave.</summary>
internal sealed class GeneratorResult(GeneratorRunResult result, Compilation output)
{
    public GeneratorRunResult Raw => result;

    public Compilation Output => output;

    /// <summary>The generator's diagnostics as <c>file(line,column) id: text</c>.</summary>
    public IReadOnlyList<string> Diagnostics => [.. result.Diagnostics.Select(Describe)];

    /// <summary>Warnings and errors of the compiler on the user's code and the generated code together.</summary>
    public IReadOnlyList<string> CompilerProblems => [.. output.GetDiagnostics().Where(problem => problem.Severity >= DiagnosticSeverity.Warning && !IsMissingDocumentation(problem)).Select(Describe)];

    public IReadOnlyDictionary<string, string> Files => result.GeneratedSources.ToDictionary(source => source.HintName, source => source.SourceText.ToString());

    public string File(string hintName) => Files.TryGetValue(hintName, out string? text) ? text : throw new KeyNotFoundException($"'{hintName}' is not among {string.Join(", ", Files.Keys)}");

    /// <summary>Every reason why the outputs of a named step came to be, over all its items.</summary>
    public IReadOnlyList<IncrementalStepRunReason> Reasons(string step) => [.. result.TrackedSteps[step].SelectMany(run => run.Outputs).Select(outcome => outcome.Reason)];

    private static bool IsMissingDocumentation(Diagnostic problem) => problem.Id == "CS1591" && problem.Location.IsInSource && problem.Location.GetLineSpan().Path.StartsWith("/project/", StringComparison.Ordinal);

    public static string Describe(Diagnostic problem)
    {
        var line = problem.Location.GetLineSpan();
        string file = (line.Path ?? "").Replace("/project/", "", StringComparison.Ordinal);
        return $"{file}({line.StartLinePosition.Line + 1},{line.StartLinePosition.Character + 1}) {problem.Id}: {problem.GetMessage(System.Globalization.CultureInfo.InvariantCulture)}";
    }
}
