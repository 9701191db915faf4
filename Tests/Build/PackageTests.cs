using System.IO.Compression;
using System.Xml.Linq;

namespace PipelineDsl.Build.Tests;

/// <summary>What lies in the package.</summary>
public sealed class PackageTests(Product product)
{
    [Fact]
    public void It_holds_exactly_what_a_project_needs()
    {
        using ZipArchive package = ZipFile.OpenRead(product.Package);
        string[] content =
        [
            .. package.Entries.Select(entry => entry.FullName)
                .Where(name => !name.StartsWith("_rels/", StringComparison.Ordinal) && !name.StartsWith("package/", StringComparison.Ordinal) && name is not "[Content_Types].xml")
                .Order(StringComparer.Ordinal),
        ];

        content.ShouldBe(
        [
            "PipelineDsl.nuspec",
            "README.md",
            "analyzers/dotnet/cs/PipelineDsl.CodeFixes.dll",
            "analyzers/dotnet/cs/PipelineDsl.Dsl.dll",
            "analyzers/dotnet/cs/PipelineDsl.Generators.dll",
            "analyzers/dotnet/cs/YamlDotNet.dll",
            "build/PipelineDsl.Natives.targets",
            "build/PipelineDsl.props",
            "build/PipelineDsl.targets",
            "build/natives/PipelineDsl.Natives.proj",
            "buildMultiTargeting/PipelineDsl.props",
            "buildMultiTargeting/PipelineDsl.targets",
            "lib/net10.0/PipelineDsl.Dsl.dll",
            "lib/net10.0/PipelineDsl.Dsl.xml",
            "lib/net10.0/PipelineDsl.Runtime.dll",
            "lib/net10.0/PipelineDsl.Runtime.xml",
            "tasks/netstandard2.0/PipelineDsl.Tasks.dll",
            "tools/host/PipelineDsl.Host.dll",
            "tools/host/PipelineDsl.Host.runtimeconfig.json",
        ]);
    }

    [Fact]
    public void Its_natives_are_those_that_the_product_is_built_with()
    {
        XDocument targets = XDocument.Load(Path.Combine(Product.Repository, "build", "PipelineDsl.Natives.targets"));
        XDocument versions = XDocument.Load(Path.Combine(Product.Repository, "Directory.Packages.props"));

        targets.Descendants("PipelineDslLibTorchVersion").Single().Value.ShouldBe(versions.Descendants("LibTorchVersion").Single().Value);
        targets.Descendants("PipelineDslTorchSharpVersion").Single().Value.ShouldBe(
            versions.Descendants("PackageVersion").Single(item => (string?)item.Attribute("Include") == "TorchSharp").Attribute("Version")!.Value);
    }
}
