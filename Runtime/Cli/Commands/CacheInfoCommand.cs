using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Report;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Says how much a cache holds, of what kind, and how old.</summary>
internal sealed class CacheInfoCommand(Terminal terminal) : Command<CacheSettings>
{
    /// <inheritdoc/>
    public override int Execute(CommandContext context, CacheSettings settings, CancellationToken cancellationToken)
    {
        var inventory = settings.Inventory;
        var entries = inventory.Entries();
        Group[] kinds = [.. entries.GroupBy(inventory.KindOf).Select(kind => Group.Of(kind.Key, [.. kind])).OrderByDescending(kind => kind.Bytes).ThenBy(kind => kind.Kind, StringComparer.Ordinal)];
        var all = Group.Of("all", entries);
        long unnamed = inventory.Unnamed().Sum(file => file.Length);
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, settings.Folder, all.Entries, all.Bytes, all.Oldest, all.Newest, UnnamedBytes = unnamed, Kinds = kinds });
            return ExitCodes.Fine;
        }

        terminal.Line($"{settings.Folder}: {Counted(entries.Count)}, {Figures.Bytes(all.Bytes)}", "bold");
        if (entries.Count > 0)
        {
            terminal.Table(["kind", ">entries", ">bytes", ">oldest", ">newest"], [.. kinds.Append(all).Select(kind => (Cell[])[kind.Kind, Figures.Whole(kind.Entries), Figures.Bytes(kind.Bytes), Age.Of(kind.Oldest), Age.Of(kind.Newest)])]);
        }

        if (unnamed > 0)
        {
            terminal.Line($"{Figures.Bytes(unnamed)} are left of builds that were broken off; '{CommandLine.Name} cache clear' deletes them as well");
        }

        return ExitCodes.Fine;
    }

    /// <summary>A number of entries in words.</summary>
    internal static string Counted(int count) => count == 1 ? "1 entry" : $"{count} entries";

    /// <summary>Entries of one kind.</summary>
    private sealed record Group(string Kind, int Entries, long Bytes, DateTime? Oldest, DateTime? Newest)
    {
        /// <summary>Content that two entries share counts once.</summary>
        public static Group Of(string kind, IReadOnlyList<StoreEntry> entries) => new(
            kind,
            entries.Count,
            entries.DistinctBy(entry => entry.Digest).Sum(entry => entry.Bytes),
            entries.Count > 0 ? entries.Min(entry => entry.Written) : null,
            entries.Count > 0 ? entries.Max(entry => entry.Written) : null);
    }
}
