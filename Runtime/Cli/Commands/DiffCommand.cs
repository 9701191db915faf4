using System.ComponentModel;
using PipelineDsl.Runtime.Comparison;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>Compares two artifacts or two lock files.</summary>
internal sealed class DiffCommand(Terminal terminal) : Command<DiffCommand.Settings>
{
    /// <inheritdoc/>
    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var comparison = Comparer.Compare(settings.Old, settings.Current);
        if (settings.Json)
        {
            terminal.Json(ComparisonText.ToJson(comparison));
            return ExitCodes.Fine;
        }

        foreach (string line in ComparisonText.ToText(comparison).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string start = line.TrimStart();
            terminal.Line(line, start.StartsWith("+ ", StringComparison.Ordinal) ? "green" : start.StartsWith("- ", StringComparison.Ordinal) ? "red" : start.StartsWith("~ ", StringComparison.Ordinal) ? "yellow" : null);
        }

        return ExitCodes.Fine;
    }

    /// <summary>The two sides.</summary>
    internal sealed class Settings : OutputSettings
    {
        /// <summary>The first side.</summary>
        [CommandArgument(0, "<OLD>")]
        [Description("An artifact's folder, or a lock file")]
        public string Old { get; set; } = "";

        /// <summary>The second side.</summary>
        [CommandArgument(1, "<NEW>")]
        [Description("Another of the same kind")]
        public string Current { get; set; } = "";
    }
}
