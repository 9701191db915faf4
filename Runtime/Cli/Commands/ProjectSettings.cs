using System.ComponentModel;
using Spectre.Console;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli.Commands;

/// <summary>What the commands that build a project share.</summary>
internal class ProjectSettings : OutputSettings
{
    /// <summary>The project.</summary>
    [CommandArgument(0, "[PROJECT]")]
    [Description("A project file or its folder; without it, the project here")]
    public string? Target { get; set; }

    /// <summary>The configuration.</summary>
    [CommandOption("-c|--configuration <NAME>")]
    [Description("The configuration that is built")]
    public string? Configuration { get; set; }

    /// <summary>The device.</summary>
    [CommandOption("--device <DEVICE>")]
    [Description("auto, cpu or cuda")]
    public string? Device { get; set; }

    /// <summary>More properties.</summary>
    [CommandOption("-p|--property <NAME=VALUE>")]
    [Description("A property of the build; may be given several times")]
    public string[] Properties { get; set; } = [];

    /// <summary>What <c>dotnet build</c> is told.</summary>
    public virtual IEnumerable<string> BuildArguments =>
    [
        .. Configuration is null ? Array.Empty<string>() : ["--configuration", Configuration],
        .. Device is null ? Array.Empty<string>() : [$"-p:PipelineDslDevice={Device}"],
        .. Properties.Select(property => $"-p:{property}"),
    ];

    /// <inheritdoc/>
    public override ValidationResult Validate() =>
        Device is not (null or "auto" or "cpu" or "cuda") ? ValidationResult.Error($"--device is '{Device}'; use auto, cpu or cuda")
        : Properties.FirstOrDefault(property => property.IndexOf('=', StringComparison.Ordinal) < 1) is { } wrong ? ValidationResult.Error($"--property is '{wrong}'; write NAME=VALUE")
        : ValidationResult.Success();
}
