using System.Reflection;
using System.Xml.Linq;

namespace PipelineDsl.Build.Tests;

/// <summary>The freshly packed packages; packed once a run, under a version that is unique to their content.</summary>
public sealed class Product
{
    public Product()
    {
        CommandResult pack = Command.Run(Repository, "run", Path.Combine(Repository, "build", "pack.cs"));
        pack.ExitCode.ShouldBe(0, pack.Output);
        Version = XDocument.Load(Path.Combine(Packages, "PipelineDsl.version.props")).Descendants("PipelineDslVersion").Single().Value;
    }

    public static string Repository { get; } =
        typeof(Product).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(item => item.Key == "RepositoryRoot").Value!;

    public static string Packages { get; } = Path.Combine(Repository, "artifacts", "packages");

    public string Version { get; }

    public string Package => Path.Combine(Packages, $"PipelineDsl.{Version}.nupkg");

    public string ToolPackage => Path.Combine(Packages, $"PipelineDsl.Tool.{Version}.nupkg");
}
