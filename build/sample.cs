#:project ../Tasks/PipelineDsl.Tasks.csproj

// The main job: packs the product, builds a sample against the package as a user would, runs it and says what the build
// made of its models:  dotnet run build/sample.cs [-- Stories|Tutor]
//   Stories         compresses a model that tells stories (the default)
//   Tutor           fine-tunes it, and switches adapters at run time

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using PipelineDsl.Tasks;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
string repository = Path.GetDirectoryName((string)AppContext.GetData("EntryPointFileDirectoryPath")!)!;
string name = args.Length == 0 ? "Stories" : args[0];
if (args.Length > 1 || name is not ("Stories" or "Tutor"))
{
    Console.Error.WriteLine("usage: dotnet run build/sample.cs -- [Stories|Tutor]");
    return 2;
}

string sample = Path.Combine(repository, "Samples", name);
string journal = Path.Combine(sample, "obj", "Release", "net10.0", "pipeline", "journal.log");
string output = Path.Combine(sample, "bin", "Release", "net10.0");

int exit = Run(["run", Path.Combine(repository, "build", "pack.cs")]);
if (exit != 0)
{
    return exit;
}

int runsBefore = HostRuns();
var watch = Stopwatch.StartNew();
exit = Run(["build", sample, "--configuration", "Release"]);
string seconds = $"{watch.Elapsed.TotalSeconds:0.0} s";
if (exit != 0)
{
    return exit;
}

int runs = HostRuns() - runsBefore;
Console.WriteLine();
exit = Run(["exec", Path.Combine(output, name + ".dll")], LibStdCppShim.LibraryPath());
if (exit != 0)
{
    return exit;
}

PrintTable();
Console.WriteLine(runs == 0
    ? $"everything is up to date: the build took {seconds} and added no host run ({HostRuns()} so far)"
    : $"the build took {seconds} and ran the host {(runs == 1 ? "once" : $"{runs} times")}; run this again to see a build that has nothing to do");
return 0;

int Run(string[] arguments, string? libraryPath = null)
{
    var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = repository };
    // Threads of the tensor library that wait must not take the cores from those that work.
    start.Environment["OMP_WAIT_POLICY"] = "passive";
    if (libraryPath is not null)
    {
        start.Environment[LibStdCppShim.Variable] = libraryPath;
    }

    using var process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode;
}

int HostRuns() => File.Exists(journal) ? File.ReadLines(journal).Count(line => line == "run") : 0;

void PrintTable()
{
    string[][] rows = [.. Directory.GetDirectories(Path.Combine(output, "models")).Order(StringComparer.Ordinal).Select(Row)];
    string[] head = ["recipe", "bytes before", "bytes after", "perplexity before", "perplexity after", "build time", "report"];
    int[] widths = [.. head.Select((title, column) => rows.Select(row => row[column].Length).Append(title.Length).Max())];
    Print(head);
    Print([.. widths.Select(width => new string('-', width))]);
    foreach (string[] row in rows)
    {
        Print(row);
    }

    void Print(string[] cells) => Console.WriteLine(string.Join("  ", cells.Select((cell, column) =>
        column is 0 or 6 ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd());
}

string[] Row(string folder)
{
    using var manifest = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "manifest.json")));
    var bytes = manifest.RootElement.GetProperty("bytes");
    var quality = manifest.RootElement.GetProperty("quality");
    return
    [
        Path.GetFileName(folder),
        $"{bytes.GetProperty("before").GetInt64():N0}",
        $"{bytes.GetProperty("after").GetInt64():N0}",
        $"{quality.GetProperty("before").GetDouble():0.00}",
        $"{quality.GetProperty("after").GetDouble():0.00}",
        seconds,
        Path.GetRelativePath(repository, Path.Combine(folder, "report.html")),
    ];
}
