#:project ../Tasks/PipelineDsl.Tasks.csproj

// The main job: packs the product and builds the sample against it, as a user would:  dotnet run build/sample.cs

using System.Diagnostics;
using PipelineDsl.Tasks;

string repository = Path.GetDirectoryName((string)AppContext.GetData("EntryPointFileDirectoryPath")!)!;
string sample = Path.Combine(repository, "Samples", "Stories");

int exit = Run(["run", Path.Combine(repository, "build", "pack.cs")]);
if (exit != 0)
{
    return exit;
}

var watch = Stopwatch.StartNew();
exit = Run(["build", sample, "--configuration", "Release"]);
Console.WriteLine($"built in {watch.Elapsed.TotalSeconds:0.0} s");
return exit;

int Run(string[] arguments)
{
    var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = repository };
    if (LibStdCppShim.LibraryPath() is { } path)
    {
        start.Environment[LibStdCppShim.Variable] = path;
    }

    using var process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode;
}
