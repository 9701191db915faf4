// Packs the product and its command line into artifacts/packages, under a version that is unique to their content:  dotnet run build/pack.cs

using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

string repository = Path.GetDirectoryName((string)AppContext.GetData("EntryPointFileDirectoryPath")!)!;
string[] productFolders = ["Dsl", "Generators", "Tasks", "Runtime", "build"];
string packages = Path.Combine(repository, "artifacts", "packages");
string version = $"0.1.0-dev.{ContentHash()}";
(string Id, string Project)[] products = [("PipelineDsl", "build/PipelineDsl.Package.csproj"), ("PipelineDsl.Tool", "Runtime/Cli/PipelineDsl.Cli.csproj")];

foreach (var (id, project) in products)
{
    if (File.Exists(Path.Combine(packages, $"{id}.{version}.nupkg")))
    {
        continue;
    }

    // In CI the lock files rule; the version is a property of the packages alone, so that it does not enter them.
    using var pack = Process.Start(new ProcessStartInfo("dotnet",
    [
        "pack", Path.Combine(repository, project), "--configuration", "Release",
        "--output", packages, $"-p:PipelineDslPackageVersion={version}", "--verbosity", "quiet", "-nodeReuse:false",
    ])
    { WorkingDirectory = repository })!;
    pack.WaitForExit();
    if (pack.ExitCode != 0)
    {
        return pack.ExitCode;
    }
}

string versionFile = Path.Combine(packages, "PipelineDsl.version.props");
string versionProps = $"""
    <Project>
      <PropertyGroup>
        <PipelineDslVersion>{version}</PipelineDslVersion>
      </PropertyGroup>
    </Project>

    """;

// Projects that import it are built again when it is newer than their output.
if (!File.Exists(versionFile) || File.ReadAllText(versionFile) != versionProps)
{
    File.WriteAllText(versionFile, versionProps);
}

Console.WriteLine($"PipelineDsl {version}");
return 0;

string ContentHash()
{
    using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    foreach (string path in Sources().Order(StringComparer.Ordinal))
    {
        hash.AppendData(Encoding.UTF8.GetBytes($"{path}\n"));
        hash.AppendData(File.ReadAllBytes(Path.Combine(repository, path)));
    }

    return Convert.ToHexStringLower(hash.GetHashAndReset())[..12];
}

IEnumerable<string> Sources() =>
    productFolders
        .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(repository, folder), "*", SearchOption.AllDirectories))
        .Concat(Directory.EnumerateFiles(repository, "Directory.*"))
        .Select(path => Path.GetRelativePath(repository, path).Replace('\\', '/'))
        .Where(path => !path.Split('/').Any(part => part is "bin" or "obj"))
        .Where(path => !(path.StartsWith("build/", StringComparison.Ordinal) && path.EndsWith(".cs", StringComparison.Ordinal)));
