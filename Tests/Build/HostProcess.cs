using System.Diagnostics;
using System.Text.Json;

namespace PipelineDsl.Build.Tests;

/// <summary>Starts the host on a project that was built before, as the build does; a test may then kill it, or give it a disk that is full.</summary>
/// <param name="folder">The project's folder.</param>
/// <param name="configuration">The configuration that was built.</param>
/// <param name="assembly">The assembly's name.</param>
/// <param name="version">The version of the package.</param>
internal sealed class HostProcess(string folder, string configuration, string assembly, string version)
{
    private const string Framework = "net10.0";

    private readonly string pipeline = Path.Combine(folder, "obj", configuration, Framework, "pipeline");

    /// <summary>The folder of artifacts; the build's own unless set.</summary>
    public string Output { get; init; } = Path.Combine(folder, "obj", configuration, Framework, "pipeline", "models");

    /// <summary>The cache.</summary>
    public required string Cache { get; init; }

    /// <summary>The path of libraries that the host needs on this system, or null.</summary>
    public string? Libraries { get; init; }

    /// <summary>What the host noted about its runs.</summary>
    public string[] Journal => File.Exists(JournalFile) ? File.ReadAllLines(JournalFile) : [];

    private string JournalFile => Path.Combine(pipeline, "journal.log");

    /// <summary>Starts a run.</summary>
    public Process Start()
    {
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } chosen ? chosen : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        string host = Path.Combine(packages, "pipelinedsl", version, "tools", "host", "PipelineDsl.Host");
        string stage = Path.Combine(pipeline, "stage");
        string request = Path.Combine(pipeline, "request.test.json");
        File.WriteAllText(request, JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["schema"] = 1,
            ["assembly"] = Path.Combine(stage, assembly + ".dll"),
            ["projectDirectory"] = folder,
            ["projectFile"] = Path.Combine(folder, assembly + ".csproj"),
            ["outputDirectory"] = Output,
            ["artifactsList"] = Path.Combine(pipeline, "artifacts.list"),
            ["journal"] = JournalFile,
            ["cacheDirectory"] = Cache,
            ["device"] = "cpu",
            ["cores"] = 2,
        }));
        string[] arguments = ["exec", "--runtimeconfig", host + ".runtimeconfig.json", "--depsfile", Path.Combine(stage, assembly + ".deps.json"), "--additionalprobingpath", packages, host + ".dll", request];
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        if (Libraries is not null)
        {
            start.Environment["LD_LIBRARY_PATH"] = Libraries;
        }

        return Process.Start(start)!;
    }

    /// <summary>Runs to the end.</summary>
    /// <returns>The exit code, and all that was said.</returns>
    public (int ExitCode, string Said) Run()
    {
        using var process = Start();
        var errors = process.StandardError.ReadToEndAsync();
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, said + errors.Result);
    }

    /// <summary>Starts a run and kills it after a while, unless it ends before.</summary>
    /// <returns>Whether it was killed.</returns>
    public bool RunAndKill(TimeSpan after)
    {
        using var process = Start();
        var ends = Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        bool killed = !process.WaitForExit(after);
        if (killed)
        {
            process.Kill();
        }

        process.WaitForExit();
        ends.Wait();
        return killed;
    }

    /// <summary>Every file below some folders with its content's hash, so that two states can be compared; a file's place is told from its folder.</summary>
    public static SortedDictionary<string, string> Files(params string[] folders)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string root in folders.Where(Directory.Exists))
        {
            foreach (string file in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories))
            {
                files[Path.GetFileName(root) + "/" + Path.GetRelativePath(root, file).Replace('\\', '/')] = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)));
            }
        }

        return files;
    }
}
