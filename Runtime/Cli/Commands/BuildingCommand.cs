using System.Diagnostics;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Diagnostics;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>A command that builds a project and tells what came of it.</summary>
/// <typeparam name="TSettings">Its settings.</typeparam>
/// <param name="terminal">Where it writes.</param>
internal abstract class BuildingCommand<TSettings>(Terminal terminal) : AsyncCommand<TSettings>
    where TSettings : ProjectSettings
{
    /// <summary>Where it writes.</summary>
    protected Terminal Terminal => terminal;

    /// <inheritdoc/>
    public sealed override async Task<int> ExecuteAsync(CommandContext context, TSettings settings, CancellationToken cancellationToken)
    {
        string project = ProjectFile.Find(settings.Target);
        var watch = Stopwatch.StartNew();
        var result = await terminal.Follow($"building {Path.GetFileName(project)}", settings.Json || IsQuiet, step => Build.Run(project, ArgumentsFor(settings), step, cancellationToken));
        foreach (var diagnostic in result.Diagnostics)
        {
            terminal.ReportLine(diagnostic.Text, diagnostic.Severity == "error" ? Severity.Error : Severity.Warning);
        }

        if (!result.Succeeded && result.Diagnostics.All(diagnostic => diagnostic.Severity != "error"))
        {
            terminal.Complain(result.Output.Trim());
            terminal.Report(new(DiagnosticIds.CommandNotPossible, Severity.Error, $"the build of '{project}' failed without saying why; see above", SourceSpan.StartOf(project)));
        }

        Tell(project, settings, result, watch.Elapsed);
        return result.Succeeded ? ExitCodes.Fine : ExitCodes.Diagnosed;
    }

    /// <summary>Whether only the result matters, and not what the build says on the way.</summary>
    protected virtual bool IsQuiet => false;

    /// <summary>What <c>dotnet build</c> is told.</summary>
    protected virtual IEnumerable<string> ArgumentsFor(TSettings settings) => settings.BuildArguments;

    /// <summary>Tells what came of the build; what was wrong is said already.</summary>
    protected abstract void Tell(string project, TSettings settings, BuildResult result, TimeSpan elapsed);
}
