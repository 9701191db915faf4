#:project ../Tasks/PipelineDsl.Tasks.csproj

// Runs a benchmark:  dotnet run build/bench.cs -- NAME [arguments]
// Tables and pages go to artifacts/bench/.

using System.Diagnostics;
using PipelineDsl.Tasks;

string repository = Path.GetDirectoryName((string)AppContext.GetData("EntryPointFileDirectoryPath")!)!;
string project = Path.Combine(repository, "Tests", "Benchmarks");
if (Run("build", project, "--configuration", "Release", "--verbosity", "quiet", "-nodeReuse:false") != 0)
{
    Console.Error.WriteLine("the benchmarks do not build");
    return 1;
}

return Run(["exec", Path.Combine(project, "bin", "Release", "net10.0", "PipelineDsl.Benchmarks.dll"), .. args]);

int Run(params string[] arguments)
{
    var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = repository };
    start.Environment["PIPELINEDSL_BENCH"] = Path.Combine(repository, "artifacts", "bench");
    if (arguments[0] == "exec" && LibStdCppShim.LibraryPath() is { } path)
    {
        start.Environment[LibStdCppShim.Variable] = path;
    }

    using var process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode;
}
