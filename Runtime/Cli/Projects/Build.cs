namespace PipelineDsl.Cli.Projects;

/// <summary>What a build said.</summary>
/// <param name="Succeeded">Whether it did all it should.</param>
/// <param name="Diagnostics">What was wrong, once each.</param>
/// <param name="Output">Everything it wrote.</param>
internal sealed record BuildResult(bool Succeeded, IReadOnlyList<BuildDiagnostic> Diagnostics, string Output);

/// <summary>Starts <c>dotnet build</c>.</summary>
internal static class Build
{
    /// <summary>Builds a project.</summary>
    /// <param name="project">Its file.</param>
    /// <param name="arguments">What else <c>dotnet build</c> is told.</param>
    /// <param name="progress">Gets what pipelines say as they say it.</param>
    /// <param name="cancellation">Ends the build.</param>
    /// <exception cref="Diagnostics.PipelineException">PDSL2006: there is no <c>dotnet</c>.</exception>
    public static async Task<BuildResult> Run(string project, IEnumerable<string> arguments, Action<BuildProgress> progress, CancellationToken cancellation)
    {
        var diagnostics = new List<BuildDiagnostic>();
        var result = await DotNet(
            ["build", project, "-nologo", "-tl:off", "-verbosity:minimal", "-consoleLoggerParameters:NoSummary", .. arguments],
            project,
            line =>
            {
                if (BuildDiagnostic.Parse(line) is { } diagnostic)
                {
                    if (!diagnostics.Contains(diagnostic))
                    {
                        diagnostics.Add(diagnostic);
                    }
                }
                else if (BuildProgress.Parse(line) is { } step)
                {
                    progress(step);
                }
            },
            cancellation);
        return new(result.ExitCode == 0, diagnostics, result.Output + result.Errors);
    }

    /// <summary>Asks a project for properties.</summary>
    /// <returns>Everything that MSBuild wrote, and whether it succeeded.</returns>
    /// <exception cref="Diagnostics.PipelineException">PDSL2006: there is no <c>dotnet</c>.</exception>
    public static async Task<(bool Succeeded, string Output)> Query(string project, IEnumerable<string> arguments, CancellationToken cancellation)
    {
        var result = await DotNet(["msbuild", project, "-nologo", .. arguments], project, null, cancellation);
        return (result.ExitCode == 0, result.Output + result.Errors);
    }

    private static async Task<(int ExitCode, string Output, string Errors)> DotNet(IEnumerable<string> arguments, string project, Action<string>? line, CancellationToken cancellation) =>
        await Child.Run(Child.DotNet, arguments, cancellation, new Dictionary<string, string?> { ["DOTNET_CLI_UI_LANGUAGE"] = "en", ["MSBUILDTERMINALLOGGER"] = "off" }, Path.GetDirectoryName(project), line)
            ?? throw new Diagnostics.PipelineException(Diagnostics.DiagnosticIds.CommandNotPossible, $"'{Child.DotNet}' does not start; install the .NET SDK and put it on the path", project);
}
