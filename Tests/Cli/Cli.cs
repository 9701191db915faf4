using System.Text.Json;
using Spectre.Console;

namespace PipelineDsl.Cli.Tests;

/// <summary>What a command left behind.</summary>
/// <param name="ExitCode">Its exit code.</param>
/// <param name="Output">What it wrote as its result.</param>
/// <param name="Errors">What it wrote on the error stream.</param>
internal sealed record CliResult(int ExitCode, string Output, string Errors)
{
    /// <summary>The result as the one JSON document that it must be.</summary>
    public JsonElement Json => JsonDocument.Parse(Output).RootElement;

    /// <summary>The lines of the result.</summary>
    public string[] Lines => Output.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Runs the command line through its entry point, with streams of its own.</summary>
internal static class Cli
{
    /// <summary>As in a pipe.</summary>
    public static CliResult Run(params string[] arguments) => Run(default, arguments);

    /// <summary>As in a pipe, for as long as nobody breaks it off.</summary>
    public static CliResult Run(CancellationToken cancellation, params string[] arguments)
    {
        var output = new StringWriter();
        var errors = new StringWriter();
        int exit = CommandLine.Run(arguments, new Terminal(output, errors), cancellation).GetAwaiter().GetResult();
        return new(exit, output.ToString(), errors.ToString());
    }

    /// <summary>As on a terminal with colours.</summary>
    public static CliResult RunOnTerminal(params string[] arguments)
    {
        var output = new StringWriter();
        var errors = new StringWriter();
        int exit = CommandLine.Run(arguments, new Terminal(output, errors, Console(output), Console(errors)), default).GetAwaiter().GetResult();
        return new(exit, output.ToString(), errors.ToString());

        static IAnsiConsole Console(TextWriter writer)
        {
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.Yes, ColorSystem = ColorSystemSupport.TrueColor, Out = new AnsiConsoleOutput(writer) });
            console.Profile.Width = 200;
            return console;
        }
    }

    /// <summary>A run that must succeed and say nothing on the error stream.</summary>
    public static CliResult Succeed(params string[] arguments)
    {
        var result = Run(arguments);
        result.ExitCode.ShouldBe(ExitCodes.Fine, result.Errors);
        result.Errors.ShouldBeEmpty();
        return result;
    }

    /// <summary>A run that must fail with one coded error and no result.</summary>
    public static string Fail(string id, params string[] arguments)
    {
        var result = Run(arguments);
        result.ExitCode.ShouldBe(ExitCodes.Diagnosed, result.Output + result.Errors);
        result.Output.ShouldBeEmpty();
        result.Errors.ShouldMatch($@"^\S.*\(\d+,\d+,\d+,\d+\): error {id}: [^\n]+\n$");
        return result.Errors;
    }
}
