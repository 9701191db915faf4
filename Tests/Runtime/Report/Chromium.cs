using System.Diagnostics;

namespace PipelineDsl.Runtime.Tests.Report;

/// <summary>Chromium without a window, where this machine has it.</summary>
internal sealed class Chromium(string program, string profile)
{
    private static readonly string[] Names = ["chromium", "chromium-browser", "google-chrome", "chrome"];

    // A page of the test reads into its frames, which are files too. Nothing here asks for a network.
    private static readonly string[] Quiet =
    [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--allow-file-access-from-files", "--virtual-time-budget=2000",
    ];

    /// <summary>Finds it on the PATH.</summary>
    /// <param name="profile">A folder for what it keeps.</param>
    /// <returns>The browser, or null where there is none that runs: some systems have a program of its name that only tells how to install it.</returns>
    public static Chromium? Find(string profile) => Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator)
        .SelectMany(folder => Names.Select(name => Path.Combine(folder, name)))
        .FirstOrDefault(program => File.Exists(program) && Start(program, ["--version"]).ExitCode == 0) is { } program ? new(program, profile) : null;

    /// <summary>Opens a page and returns the document that its scripts leave.</summary>
    public string Document(string page, params string[] options) => Run(page, [.. options, "--dump-dom"]);

    /// <summary>Opens a page and keeps a picture of the window.</summary>
    public void Screenshot(string page, string picture, params string[] options) => Run(page, [.. options, $"--screenshot={picture}"]);

    private string Run(string page, string[] options)
    {
        var (exitCode, output, errors) = Start(program, [.. Quiet, $"--user-data-dir={profile}", .. options, new Uri(page).AbsoluteUri]);
        exitCode.ShouldBe(0, errors);
        return output;
    }

    private static (int ExitCode, string Output, string Errors) Start(string program, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, errors.Result);
    }
}
