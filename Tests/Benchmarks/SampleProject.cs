using System.Diagnostics;
using System.Reflection;
using System.Xml.Linq;

namespace PipelineDsl.Benchmarks;

/// <summary>A copy of the sample in a folder of its own, which real builds run on against the freshly packed package.</summary>
/// <remarks>Its program names the model alone, so that it compiles with and without what recipes generate.</remarks>
internal sealed class SampleProject : IDisposable
{
    private static readonly string Repository =
        typeof(SampleProject).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(item => item.Key == "RepositoryRoot").Value!;

    private static readonly string Packages = Path.Combine(Repository, "artifacts", "packages");

    private readonly string root = Directory.CreateTempSubdirectory("pdsl-bench-").FullName;

    /// <summary>Copies the sample.</summary>
    /// <param name="version">The package's version, as <see cref="Pack"/> gave it.</param>
    public SampleProject(string version)
    {
        Version = version;
        string sample = Path.Combine(Repository, "Samples", "Stories");
        foreach (string file in Directory.EnumerateFiles(sample, "*", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(sample, file);
            if (name.Split(Path.DirectorySeparatorChar)[0] is not ("bin" or "obj"))
            {
                Directory.CreateDirectory(Path.GetDirectoryName(In(name))!);
                File.Copy(file, In(name));
            }
        }

        File.WriteAllText(In("Program.cs"), "System.Console.WriteLine(typeof(Stories.Model.StoryLlama));\n");
        File.WriteAllText(Path.Combine(root, "nuget.config"), $"<configuration><packageSources><add key=\"PipelineDsl\" value=\"{Packages}\" /></packageSources></configuration>\n");
        File.WriteAllText(Path.Combine(root, "Directory.Build.props"), $"<Project><PropertyGroup><PipelineDslVersion>{version}</PipelineDslVersion><PipelineDslCacheDirectory>{Cache}</PipelineDslCacheDirectory></PropertyGroup></Project>\n");
    }

    /// <summary>The project's folder.</summary>
    public string Folder => Path.Combine(root, "Stories");

    /// <summary>The cache of its builds.</summary>
    public string Cache => Path.Combine(root, "cache");

    /// <summary>The package's version.</summary>
    public string Version { get; }

    /// <summary>Packs the product.</summary>
    /// <returns>The package's version, unique to its content.</returns>
    public static string Pack()
    {
        Run(Repository, ["run", Path.Combine(Repository, "build", "pack.cs")]);
        return XDocument.Load(Path.Combine(Packages, "PipelineDsl.version.props")).Descendants("PipelineDslVersion").Single().Value;
    }

    /// <summary>A path inside the project.</summary>
    public string In(string path) => Path.Combine(Folder, path);

    /// <summary>Builds, and says how many seconds that took.</summary>
    public double Build(params string[] more)
    {
        var watch = Stopwatch.StartNew();
        Run(Folder, ["build", "--configuration", "Release", "-verbosity:minimal", "-tl:off", "-nodeReuse:false", .. more]);
        return watch.Elapsed.TotalSeconds;
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(root, recursive: true);

    private static void Run(string folder, string[] arguments)
    {
        // A build finds what it needs on its own, this process's libraries least of all.
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, Environment = { ["LD_LIBRARY_PATH"] = null } };
        using var process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"dotnet {string.Join(' ', arguments)} failed:\n{output}");
        }
    }
}
