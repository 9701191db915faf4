using System.Runtime.CompilerServices;
using System.Xml.Linq;

namespace PipelineDsl.Dsl.Tests;

/// <summary>The dependency rule of the house, read off the project files.</summary>
public sealed class ArchitectureTests
{
    [Theory]
    [InlineData("Dsl", "", "YamlDotNet")]
    [InlineData("Generators", "PipelineDsl.Dsl", "Microsoft.CodeAnalysis.Analyzers Microsoft.CodeAnalysis.CSharp YamlDotNet")]
    [InlineData("Generators/CodeFixes", "PipelineDsl.Generators", "Microsoft.CodeAnalysis.Analyzers Microsoft.CodeAnalysis.CSharp.Workspaces")]
    [InlineData("Tasks", "", "Microsoft.Build.Utilities.Core")]
    [InlineData("Runtime", "PipelineDsl.Dsl", null)]
    [InlineData("Runtime/Host", "PipelineDsl.Runtime", null)]
    [InlineData("Runtime/Cli", "PipelineDsl.Runtime PipelineDsl.Tasks", "SharpZipLib SkiaSharp SkiaSharp.NativeAssets.macOS SkiaSharp.NativeAssets.Win32 Spectre.Console Spectre.Console.Cli")]
    public void A_room_uses_only_what_the_house_allows(string folder, string projects, string? packages)
    {
        var project = XDocument.Load(Directory.GetFiles(Path.Combine(RepositoryRoot(), folder), "*.csproj").Single());
        References(project, "ProjectReference").Select(reference => Path.GetFileNameWithoutExtension(reference)).ShouldBe(projects.Split(' ', StringSplitOptions.RemoveEmptyEntries), ignoreOrder: true);
        if (packages is not null)
        {
            References(project, "PackageReference").ShouldBe(packages.Split(' '), ignoreOrder: true);
        }
    }

    private static IEnumerable<string> References(XDocument project, string kind) => project.Descendants(kind).Select(item => item.Attribute("Include")?.Value).OfType<string>();

    private static string RepositoryRoot([CallerFilePath] string file = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "..", ".."));
}
