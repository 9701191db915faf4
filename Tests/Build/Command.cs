using System.Diagnostics;
using PipelineDsl.Tasks;

namespace PipelineDsl.Build.Tests;

/// <summary>What a command left behind.</summary>
public sealed record CommandResult(int ExitCode, string Output);

/// <summary>Starts <c>dotnet</c> as a user would, and programs as the product starts them.</summary>
internal static class Command
{
    /// <summary>Runs <c>dotnet</c> without the library path of this process: a build finds what it needs on its own. Larger data that lies about is no matter of these tests.</summary>
    public static CommandResult Run(string folder, params IEnumerable<string> arguments) =>
        Finish(new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, Environment = { [LibStdCppShim.Variable] = null, ["PIPELINEDSL_DATA"] = null } });

    /// <summary>Runs a built program, on a machine that has no package folder.</summary>
    public static CommandResult RunProgram(string path)
    {
        var start = new ProcessStartInfo(path)
        {
            WorkingDirectory = Path.GetTempPath(),
            Environment = { ["NUGET_PACKAGES"] = "/nowhere", ["HOME"] = "/nowhere", ["USERPROFILE"] = "/nowhere" },
        };
        if (LibStdCppShim.LibraryPath() is { } libraries)
        {
            start.Environment[LibStdCppShim.Variable] = libraries;
        }

        return Finish(start);
    }

    /// <summary>Runs an installed tool, whose builds leave no process behind.</summary>
    public static CommandResult RunTool(string path, string folder, params IEnumerable<string> arguments) =>
        Finish(new ProcessStartInfo(path, arguments)
        {
            WorkingDirectory = folder,
            Environment = { [LibStdCppShim.Variable] = null, ["MSBUILDDISABLENODEREUSE"] = "1", ["UseSharedCompilation"] = "false" },
        });

    private static CommandResult Finish(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        using var process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new CommandResult(process.ExitCode, output + errors.Result);
    }
}
