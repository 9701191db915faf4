using System.IO.Compression;
using System.Xml.Linq;

namespace PipelineDsl.Build.Tests;

/// <summary>What lies in the packages.</summary>
public sealed class PackageTests(Product product)
{
    [Fact]
    public void It_holds_exactly_what_a_project_needs()
    {
        Content(product.Package).ShouldBe(
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

    /// <summary>The bridge to libtorch lets it try the one of the package folder; libtorch itself and what draws images are not there.</summary>
    [Fact]
    public void The_tool_holds_its_command_and_no_libtorch() =>
        Content(product.ToolPackage).ShouldBe(
        [
            "PipelineDsl.Tool.nuspec",
            "README.md",
            "tools/net10.0/any/DotnetToolSettings.xml",
            "tools/net10.0/any/Google.Protobuf.dll",
            "tools/net10.0/any/ICSharpCode.SharpZipLib.dll",
            "tools/net10.0/any/PipelineDsl.Cli.deps.json",
            "tools/net10.0/any/PipelineDsl.Cli.dll",
            "tools/net10.0/any/PipelineDsl.Cli.runtimeconfig.json",
            "tools/net10.0/any/PipelineDsl.Dsl.dll",
            "tools/net10.0/any/PipelineDsl.Runtime.dll",
            "tools/net10.0/any/PipelineDsl.Tasks.dll",
            "tools/net10.0/any/SkiaSharp.dll",
            "tools/net10.0/any/Spectre.Console.Ansi.dll",
            "tools/net10.0/any/Spectre.Console.Cli.dll",
            "tools/net10.0/any/Spectre.Console.dll",
            "tools/net10.0/any/TorchSharp.dll",
            "tools/net10.0/any/YamlDotNet.dll",
            "tools/net10.0/any/runtimes/linux-x64/native/libLibTorchSharp.so",
            "tools/net10.0/any/runtimes/osx-arm64/native/libLibTorchSharp.dylib",
            "tools/net10.0/any/runtimes/win-arm64/native/LibTorchSharp.dll",
            "tools/net10.0/any/runtimes/win-x64/native/LibTorchSharp.dll",
        ]);

    [Fact]
    public void Its_natives_are_those_that_the_product_is_built_with()
    {
        XDocument targets = XDocument.Load(Path.Combine(Product.Repository, "build", "PipelineDsl.Natives.targets"));
        XDocument versions = XDocument.Load(Path.Combine(Product.Repository, "Directory.Packages.props"));

        targets.Descendants("PipelineDslLibTorchVersion").Single().Value.ShouldBe(versions.Descendants("LibTorchVersion").Single().Value);
        targets.Descendants("PipelineDslTorchSharpVersion").Single().Value.ShouldBe(
            versions.Descendants("PackageVersion").Single(item => (string?)item.Attribute("Include") == "TorchSharp").Attribute("Version")!.Value);
    }

    /// <summary>The files that its authors put in.</summary>
    private static string[] Content(string path)
    {
        using ZipArchive package = ZipFile.OpenRead(path);
        return
        [
            .. package.Entries.Select(entry => entry.FullName)
                .Where(name => !name.StartsWith("_rels/", StringComparison.Ordinal) && !name.StartsWith("package/", StringComparison.Ordinal) && name is not "[Content_Types].xml")
                .Order(StringComparer.Ordinal),
        ];
    }
}
