using System.ComponentModel;
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
        var inventory = settings.Inventory;
        var before = DateTime.UtcNow - Age.Parse(settings.OlderThan ?? "0d")!.Value;
        var entries = inventory.Entries().Where(entry => settings.OlderThan is null || entry.Written <= before).ToList();
        long freed = inventory.Delete(entries);
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, settings.Folder, Deleted = entries.Count, FreedBytes = freed });
        }
        else
        {
            terminal.Line($"{CacheInfoCommand.Counted(entries.Count)} deleted, {Figures.Bytes(freed)} free");
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

        /// <inheritdoc/>
        public override ValidationResult Validate() => OlderThan is null || Age.Parse(OlderThan) is not null
            ? ValidationResult.Success()
            : ValidationResult.Error($"--older-than is '{OlderThan}'; write a whole number and d, h or m, such as 30d");
    }
}
