using System.ComponentModel;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Runtime.Report;
using Spectre.Console;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Builds a project's models.</summary>
internal sealed class RunCommand(Terminal terminal) : BuildingCommand<RunCommand.Settings>(terminal)
{
    /// <inheritdoc/>
    protected override void Tell(string project, Settings settings, BuildResult result, TimeSpan elapsed)
    {
        var artifacts = result.Succeeded ? FoundArtifact.OfProject(project) : [];
        if (settings.Json)
        {
            Terminal.Json(new
            {
                Schema = 1,
                Project = project,
                result.Succeeded,
                Seconds = Math.Round(elapsed.TotalSeconds, 2),
                Artifacts = artifacts,
                Diagnostics = result.Diagnostics.Select(diagnostic => new { diagnostic.Severity, diagnostic.Code, diagnostic.Message, diagnostic.File, diagnostic.Line, diagnostic.Column }),
            });
        }
        else if (result.Succeeded)
        {
            FoundArtifact.Show(Terminal, artifacts);
            Terminal.Line($"built in {Figures.Seconds(elapsed.TotalSeconds)}", "green");
        }
    }

    /// <summary>How the project is built.</summary>
    internal sealed class Settings : ProjectSettings
    {
        /// <summary>Whether lock files are rewritten.</summary>
        [CommandOption("--update-lock")]
        [Description("Accepts plans that differ from their lock files, and rewrites these")]
        public bool UpdateLock { get; set; }

        /// <summary>Whether lock files rule.</summary>
        [CommandOption("--locked")]
        [Description("Makes a plan that differs from its lock file an error")]
        public bool Locked { get; set; }

        /// <inheritdoc/>
        public override IEnumerable<string> BuildArguments =>
            [.. base.BuildArguments, .. UpdateLock ? ["-p:PipelineDslUpdateLock=true"] : Array.Empty<string>(), .. Locked ? ["-p:PipelineDslLockedMode=true"] : Array.Empty<string>()];

        /// <inheritdoc/>
        public override ValidationResult Validate() =>
            UpdateLock && Locked ? ValidationResult.Error("--update-lock and --locked exclude each other; choose one") : base.Validate();
    }
}
