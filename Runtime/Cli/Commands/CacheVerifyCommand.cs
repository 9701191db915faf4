using System.ComponentModel;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Report;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Compares the content of every entry with its digest.</summary>
internal sealed class CacheVerifyCommand(Terminal terminal) : Command<CacheVerifyCommand.Settings>
{
    /// <inheritdoc/>
    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var inventory = settings.Inventory;
        var entries = inventory.Entries();
        var damaged = terminal.Track("comparing digests", entries.Sum(entry => entry.Bytes), progress => entries.Where(entry =>
        {
            bool sound = inventory.IsSound(entry, cancellationToken);
            progress(entry.Bytes);
            return !sound;
        }).ToList());
        foreach (var entry in damaged)
        {
            string cure = settings.Drop ? "it is deleted, and the next build that needs it computes it again" : "delete it with --drop, or leave it to the next build that meets it";
            terminal.Report(new(DiagnosticIds.DamagedCacheEntry, settings.Drop ? Severity.Warning : Severity.Error, $"the content of entry {entry.Key} is not what its digest says; {cure}", SourceSpan.StartOf(settings.Folder)));
        }

        if (settings.Drop)
        {
            inventory.Delete(damaged);
        }

        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, settings.Folder, Entries = entries.Count, Bytes = entries.DistinctBy(entry => entry.Digest).Sum(entry => entry.Bytes), Damaged = damaged.Select(entry => entry.Key), Dropped = settings.Drop });
        }
        else if (damaged.Count == 0)
        {
            terminal.Line($"{CacheInfoCommand.Counted(entries.Count)}, {Figures.Bytes(entries.DistinctBy(entry => entry.Digest).Sum(entry => entry.Bytes))}: all as their digests say", "green");
        }
        else
        {
            terminal.Line($"{CacheInfoCommand.Counted(entries.Count)}, of which {damaged.Count} damaged{(settings.Drop ? " and deleted" : "")}");
        }

        return damaged.Count == 0 || settings.Drop ? ExitCodes.Fine : ExitCodes.Diagnosed;
    }

    /// <summary>What becomes of damaged entries.</summary>
    internal sealed class Settings : CacheSettings
    {
        /// <summary>Whether damaged entries are deleted.</summary>
        [CommandOption("--drop")]
        [Description("Deletes damaged entries")]
        public bool Drop { get; set; }
    }
}
