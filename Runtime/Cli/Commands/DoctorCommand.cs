using System.ComponentModel;
using System.Runtime.CompilerServices;
using PipelineDsl.Cli.Doctor;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Native;
using Spectre.Console.Cli;
using TorchSharp;

namespace PipelineDsl.Cli.Commands;

/// <summary>Says whether this machine can run pipelines.</summary>
internal sealed class DoctorCommand(Terminal terminal) : AsyncCommand<DoctorCommand.Settings>
{
    /// <inheritdoc/>
    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        if (settings.Probe)
        {
            NativeLibraries.Load();
            Probe();
            return ExitCodes.Fine;
        }

        var checks = await new Machine(settings.Folder).Checks(cancellationToken);
        if (settings.Json)
        {
            terminal.Json(new { Schema = 1, Healthy = checks.All(check => check.State != CheckState.Bad), Checks = checks });
        }
        else
        {
            terminal.Table(["", "what", "found"], [.. checks.Select(check => (Cell[])[Sign(check.State), check.Name, check.Cure is null ? check.Text : $"{check.Text}; {check.Cure}"])]);
        }

        foreach (var check in checks.Where(check => check.State == CheckState.Bad))
        {
            terminal.Report(new(check.Code!, Severity.Error, $"{check.Name}: {check.Text}; {check.Cure}", SourceSpan.StartOf(CommandLine.Name)));
        }

        return checks.Any(check => check.State == CheckState.Bad) ? ExitCodes.Diagnosed : ExitCodes.Fine;
    }

    /// <summary>A method of its own: where TorchSharp is named, it may load libtorch as soon as the method is compiled, and not from where it should.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Probe() => terminal.Json(new { Version = torch.__version__, Devices = torch.cuda_is_available() ? torch.cuda.device_count() : 0 });

    private static Cell Sign(CheckState state) => state switch
    {
        CheckState.Ok => new("ok", "green"),
        CheckState.Warning => new("warning", "yellow"),
        _ => new("bad", "red"),
    };

    /// <summary>Which cache is looked at.</summary>
    internal sealed class Settings : CacheSettings
    {
        /// <summary>Whether this process is the one that tries libtorch.</summary>
        [CommandOption(Machine.ProbeOption, IsHidden = true)]
        [Description("Loads libtorch and says which")]
        public bool Probe { get; set; }
    }
}
