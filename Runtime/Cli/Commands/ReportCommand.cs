using System.ComponentModel;
using System.Diagnostics;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Diagnostics;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Says what became of a project's models, and opens the report.</summary>
internal sealed class ReportCommand(Terminal terminal) : Command<ReportCommand.Settings>
{
    /// <inheritdoc/>
    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var artifacts = FoundArtifact.In(settings.Target);
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, Artifacts = artifacts });
        }
        else
        {
            FoundArtifact.Show(terminal, artifacts);
        }

        if (settings.Open)
        {
            foreach (var artifact in artifacts)
            {
                Open(artifact.Report ?? throw new PipelineException(DiagnosticIds.CommandNotPossible, $"the artifact in '{artifact.Path}' has no report; build the project again", artifact.Path));
            }
        }

        return ExitCodes.Fine;
    }

    private static void Open(string page)
    {
        try
        {
            using var started = Environment.GetEnvironmentVariable("BROWSER") is { Length: > 0 } browser
                ? Process.Start(new ProcessStartInfo(browser, [page]))
                : Process.Start(new ProcessStartInfo(page) { UseShellExecute = true });
        }
        catch (Win32Exception failure)
        {
            throw new PipelineException(DiagnosticIds.CommandNotPossible, $"no program opens '{page}' ({failure.Message.TrimEnd('.')}); set the environment variable BROWSER to one, or open the file yourself", page, failure);
        }
    }

    /// <summary>Whose report.</summary>
    internal sealed class Settings : OutputSettings
    {
        /// <summary>The artifact or project.</summary>
        [CommandArgument(0, "[PATH]")]
        [Description("An artifact's folder, a project file or its folder; without it, the project here")]
        public string? Target { get; set; }

        /// <summary>Whether the page is opened.</summary>
        [CommandOption("--open")]
        [Description("Opens the report in the browser")]
        public bool Open { get; set; }
    }
}
