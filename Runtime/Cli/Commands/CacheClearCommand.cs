using System.ComponentModel;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Report;
using Spectre.Console;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Deletes entries of a cache: all, or those that are old.</summary>
internal sealed class CacheClearCommand(Terminal terminal) : Command<CacheClearCommand.Settings>
{
    /// <inheritdoc/>
    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var until = settings.OlderThan is null ? DateTime.MaxValue : DateTime.UtcNow - Age.Parse(settings.OlderThan)!.Value;
        Action? waiting = settings.Wait ? () => terminal.Complain($"waiting for the builds that use '{settings.Folder}'") : null;
        var (deleted, freed) = settings.Inventory.Clear(until, waiting, cancellationToken)
            ?? throw new PipelineException(DiagnosticIds.CommandNotPossible, $"a build is using the cache '{settings.Folder}', and may come back to any entry until its end, to old ones too; wait for its end with --wait, or, where some build always runs, let builds use another folder (PipelineDslCacheDirectory) and clear this one then", settings.Folder);
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, settings.Folder, Deleted = deleted, FreedBytes = freed });
        }
        else
        {
            terminal.Line($"{CacheInfoCommand.Counted(deleted)} deleted, {Figures.Bytes(freed)} free");
        }

        return ExitCodes.Fine;
    }

    /// <summary>What goes.</summary>
    internal sealed class Settings : CacheSettings
    {
        /// <summary>The least age.</summary>
        [CommandOption("--older-than <AGE>")]
        [Description("Only what was written longer ago: 30d, 12h, 90m")]
        public string? OlderThan { get; set; }

        /// <summary>Whether builds are waited for.</summary>
        [CommandOption("--wait")]
        [Description("Waits until no build uses the cache; builds that begin meanwhile are not held up")]
        public bool Wait { get; set; }

        /// <inheritdoc/>
        public override ValidationResult Validate() => OlderThan is null || Age.Parse(OlderThan) is not null
            ? ValidationResult.Success()
            : ValidationResult.Error($"--older-than is '{OlderThan}'; write a whole number and d, h or m, such as 30d");
    }
}
