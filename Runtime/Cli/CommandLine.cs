using System.Globalization;
using System.Reflection;
using PipelineDsl.Cli.Commands;
using PipelineDsl.Diagnostics;
using Spectre.Console.Cli;

namespace PipelineDsl.Cli;

/// <summary>Runs a command and turns whatever goes wrong into a line and an exit code.</summary>
internal static class CommandLine
{
    /// <summary>The command's name.</summary>
    public const string Name = "pipeline";

    private static string Version => typeof(CommandLine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>Runs what the arguments ask for.</summary>
    /// <param name="arguments">As the shell passes them.</param>
    /// <param name="terminal">Where results and mistakes go.</param>
    /// <param name="cancellation">Breaks the command off.</param>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> Run(string[] arguments, Terminal terminal, CancellationToken cancellation)
    {
        // Numbers look the same whatever language the system speaks.
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        try
        {
            return await App(terminal).RunAsync(arguments, cancellation);
        }
        catch (PipelineException failure)
        {
            terminal.Report(failure.Diagnostic);
            return ExitCodes.Diagnosed;
        }
        catch (CommandAppException mistake)
        {
            terminal.Complain($"{mistake.Message.ReplaceLineEndings(" ").TrimEnd('.', ' ')}; see '{Name} --help'");
            return ExitCodes.Usage;
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Cancelled;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            terminal.Report(new(DiagnosticIds.FileFailed, Severity.Error, $"{failure.Message.TrimEnd('.')}; make room, or correct the rights", SourceSpan.StartOf(Name)));
            return ExitCodes.Diagnosed;
        }
        catch (Exception failure)
        {
            terminal.Report(new(DiagnosticIds.InternalError, Severity.Error, $"the command itself failed: {failure.GetType().Name}: {failure.Message.Split('\n')[0].Trim()}; report it with what follows", SourceSpan.StartOf(Name)));
            terminal.Complain(failure.ToString());
            return ExitCodes.Diagnosed;
        }
    }

    private static CommandApp App(Terminal terminal)
    {
        var app = new CommandApp();
        app.Configure(configuration =>
        {
            configuration.SetApplicationName(Name);
            configuration.SetApplicationVersion(Version);
            configuration.PropagateExceptions();
            configuration.UseStrictParsing();
            configuration.CancellationExitCode(ExitCodes.Cancelled);
            configuration.ConfigureConsole(terminal.HelpConsole);
            configuration.Settings.Registrar.RegisterInstance(terminal);
            configuration.AddCommand<DoctorCommand>("doctor").WithDescription("Says whether this machine can run pipelines, and what to do where it cannot");
            configuration.AddCommand<InspectCommand>("inspect").WithDescription("Looks into weights, artifacts and adapters").WithExample("inspect", "weights/model.safetensors", "--filter", "*.q_proj.*", "--stats");
            configuration.AddBranch("cache", cache =>
            {
                cache.SetDescription("Looks after what builds computed once and keep");
                cache.AddCommand<CacheInfoCommand>("info").WithDescription("How much there is, of what kind, and how old");
                cache.AddCommand<CacheListCommand>("list").WithDescription("Every entry");
                cache.AddCommand<CacheVerifyCommand>("verify").WithDescription("Compares every entry with its digest");
                cache.AddCommand<CacheClearCommand>("clear").WithDescription("Deletes entries; builds compute again what they need").WithExample("cache", "clear", "--older-than", "30d");
            });
        });
        return app;
    }
}
