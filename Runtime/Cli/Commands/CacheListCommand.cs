using PipelineDsl.Runtime.Report;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Lists every entry of a cache, the newest first.</summary>
internal sealed class CacheListCommand(Terminal terminal) : Command<CacheSettings>
{
    private const int KeyDigits = 12;

    /// <inheritdoc/>
    public override int Execute(CommandContext context, CacheSettings settings, CancellationToken cancellationToken)
    {
        var inventory = settings.Inventory;
        var entries = inventory.Entries().Select(entry => (Entry: entry, Kind: inventory.KindOf(entry))).ToList();
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, settings.Folder, Entries = entries.Select(item => new { item.Entry.Key, item.Kind, item.Entry.Bytes, item.Entry.Written, item.Entry.Digest }) });
            return ExitCodes.Fine;
        }

        if (entries.Count == 0)
        {
            terminal.Line($"{settings.Folder}: no entries");
            return ExitCodes.Fine;
        }

        terminal.Table(["key", "kind", ">bytes", ">age"], [.. entries.Select(item => (Cell[])[item.Entry.Key[..KeyDigits], item.Kind, Figures.Whole(item.Entry.Bytes), Age.Of(item.Entry.Written)])]);
        return ExitCodes.Fine;
    }
}
