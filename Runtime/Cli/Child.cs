using System.ComponentModel;
using System.Diagnostics;

namespace PipelineDsl.Cli;

/// <summary>Another program that a command starts.</summary>
internal static class Child
{
    /// <summary>The <c>dotnet</c> that runs this command, or the one on the path.</summary>
    public static string DotNet => Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : "dotnet";

    /// <summary>Runs a program to its end.</summary>
    /// <param name="program">Its path or name.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="cancellation">Ends it, with all that it started.</param>
    /// <param name="environment">What it gets beside this process's environment; null removes a variable.</param>
    /// <param name="folder">Where it works; null for here.</param>
    /// <param name="line">Gets each line of its output as it comes; null collects them only.</param>
    /// <returns>Exit code and everything it wrote; null when it cannot be started.</returns>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public static async Task<(int ExitCode, string Output, string Errors)?> Run(
        string program,
        IEnumerable<string> arguments,
        CancellationToken cancellation,
        IReadOnlyDictionary<string, string?>? environment = null,
        string? folder = null,
        Action<string>? line = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = folder ?? "" };
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>())
        {
            start.Environment[name] = value;
        }

        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception)
        {
            return null;
        }

        using (process)
        {
            process.StandardInput.Close();
            var errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
            var output = new List<string>();
            try
            {
                while (await process.StandardOutput.ReadLineAsync(cancellation) is { } text)
                {
                    output.Add(text);
                    line?.Invoke(text);
                }

                await process.WaitForExitAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }

            return (process.ExitCode, string.Join('\n', output), await errors);
        }
    }
}
