using System.ComponentModel;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli;

/// <summary>What every command with a result understands.</summary>
internal class OutputSettings : CommandSettings
{
    /// <summary>Whether the result is for a program.</summary>
    [CommandOption("--json")]
    [Description("One JSON document instead of words")]
    public bool Json { get; set; }
}
