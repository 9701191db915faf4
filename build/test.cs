#:project ../Tasks/PipelineDsl.Tasks.csproj

// Builds the solution and runs its tests:  dotnet run build/test.cs [-- --golden] [-- --filter NAME]
//   --golden        only the tests that compare with golden data
//   --filter NAME   only the tests whose class or method contains NAME

using System.Diagnostics;
using System.Globalization;
using System.Xml.Linq;
using PipelineDsl.Tasks;

string repository = Path.GetDirectoryName((string)AppContext.GetData("EntryPointFileDirectoryPath")!)!;
string reports = Path.Combine(repository, "artifacts", "tests");
string[] order = ["Dsl", "Generators", "Tasks", "Runtime", "Cli", "Build"];
if (Filter() is not { } filter)
{
    Console.Error.WriteLine("usage: dotnet run build/test.cs -- [--golden] [--filter NAME]");
    return 2;
}

if (Run([], ["build", Path.Combine(repository, "PipelineDsl.sln"), "--verbosity", "quiet", "-nodeReuse:false"]) != 0)
{
    Console.Error.WriteLine("the solution does not build, so no test ran");
    return 1;
}

Directory.CreateDirectory(reports);
int passed = 0, failed = 0, skipped = 0;
foreach (string name in order)
{
    string assembly = Path.Combine(repository, "Tests", name, "bin", "Debug", "net10.0", $"PipelineDsl.{name}.Tests.dll");
    if (!File.Exists(Path.Combine(repository, "Tests", name, $"PipelineDsl.{name}.Tests.csproj")))
    {
        continue;
    }

    string report = Path.Combine(reports, $"{name}.xml");
    File.Delete(report);
    Console.WriteLine($"--- {name}");
    int exit = Run(name == "Runtime" ? TensorEnvironment() : [], ["exec", assembly, "-noLogo", "-noColor", "-result-xml", report, .. filter]);
    (int Passed, int Failed, int Skipped) counts = Counts(report);
    // A process that died, or failed without a failed test, is a failure of its own.
    int crashed = exit != 0 && counts.Failed == 0 ? 1 : 0;
    Console.WriteLine($"{name}: {counts.Passed} ok, {counts.Failed + crashed} not ok, {counts.Skipped} left out");
    passed += counts.Passed;
    failed += counts.Failed + crashed;
    skipped += counts.Skipped;
}

Console.WriteLine($"{passed} passed, {failed} failed, {skipped} skipped");
return failed == 0 && passed > 0 ? 0 : 1;

string[]? Filter()
{
    var options = new List<string>();
    for (int index = 0; index < args.Length; index++)
    {
        if (args[index] == "--golden")
        {
            options.AddRange(["-trait", "Category=Golden"]);
        }
        else if (args[index] == "--filter" && ++index < args.Length)
        {
            options.AddRange(["-method", $"*{args[index]}*"]);
        }
        else
        {
            return null;
        }
    }

    return [.. options];
}

// What a process needs that computes with tensors itself: on old systems a newer libstdc++, and numbers that live as long as
// their methods. TorchSharp passes numbers to native code without keeping them alive; tests run in parallel, so a garbage collection
// would free one in use now and then. The engine guards itself (FinalizerGate).
Dictionary<string, string> TensorEnvironment()
{
    // Threads of the tensor library that wait must not keep a core from those that work: tests run in parallel.
    var environment = new Dictionary<string, string> { ["DOTNET_JITMinOpts"] = "1", ["OMP_WAIT_POLICY"] = "passive" };
    if (LibStdCppShim.LibraryPath() is { } path)
    {
        environment[LibStdCppShim.Variable] = path;
    }

    return environment;
}

int Run(Dictionary<string, string> environment, string[] arguments)
{
    var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = repository };
    foreach (var (name, value) in environment)
    {
        start.Environment[name] = value;
    }

    using var process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode;
}

static (int Passed, int Failed, int Skipped) Counts(string report)
{
    if (!File.Exists(report))
    {
        return default;
    }

    XElement[] assemblies = [.. XDocument.Load(report).Root!.Elements("assembly")];
    return (Sum("passed"), Sum("failed") + Sum("errors"), Sum("skipped"));

    int Sum(string attribute) => assemblies.Sum(assembly => int.Parse(assembly.Attribute(attribute)?.Value ?? "0", CultureInfo.InvariantCulture));
}
