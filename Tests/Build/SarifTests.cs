using System.Text.Json;

namespace PipelineDsl.Build.Tests;

/// <summary>What services that annotate lines are given.</summary>
public sealed class SarifTests(Product product) : IDisposable
{
    private readonly Project project = new(product);

    public void Dispose() => project.Dispose();

    [Fact]
    public void Problems_of_a_run_stand_at_their_lines_of_the_repository_and_those_of_the_compiler_in_its_own_log()
    {
        project.Write("../.git/HEAD", "ref: refs/heads/main\n");
        File.AppendAllText(project.InFolder("tiny.recipe.yaml"), "export: gptq\n");
        project.Write("bröken.recipe.yaml", File.ReadAllText(project.InFolder("tiny.recipe.yaml")).Replace("recipe: tiny", "recipe: broken").Replace("mlp.safetensors", "mpl.safetensors"));
        const string compilers = "-p:ErrorLog=compiler.sarif%2Cversion=2.1";
        project.DotNet("build", compilers).ExitCode.ShouldNotBe(0);

        var run = Run("obj/Debug/net10.0/pipeline/report.sarif");
        Results(run, "PDSL").ShouldBe(["App/br%C3%B6ken.recipe.yaml(3,10,3,33) error PDSL1015", "App/tiny.recipe.yaml(7,9,7,13) warning PDSL3016", "App/tiny.recipe.yaml(7,9,7,13) warning PDSL3016"]);
        string root = run.GetProperty("originalUriBaseIds").GetProperty("%SRCROOT%").GetProperty("uri").GetString()!;
        Path.GetFullPath(new Uri(root).LocalPath).ShouldBe(project.InFolder("..") + Path.DirectorySeparatorChar);
        Results(Run("compiler.sarif"), "PDSL").ShouldBeEmpty();

        project.Write("bröken.recipe.yaml", "recipe: broken\nmodel: Demo.Mlp\nweights: w\nsteps:\n  - match: fc1\n    decompose: { rank: 7 }\n    quantize: { bit: 4 }\n");
        project.DotNet("build", "--no-restore", compilers).ExitCode.ShouldNotBe(0);
        string file = new Uri(project.InFolder("bröken.recipe.yaml")).AbsoluteUri;
        Results(Run("compiler.sarif"), "PDSL").ShouldBe([$"{file}(6,24,6,25) warning PDSL1010", $"{file}(7,17,7,20) error PDSL1002"]);
    }

    private JsonElement Run(string file)
    {
        using var log = JsonDocument.Parse(File.ReadAllText(project.InFolder(file)));
        log.RootElement.GetProperty("version").GetString().ShouldBe("2.1.0");
        return log.RootElement.GetProperty("runs").EnumerateArray().ShouldHaveSingleItem().Clone();
    }

    private static string[] Results(JsonElement run, string prefix) => [.. run.GetProperty("results").EnumerateArray()
        .Where(result => result.GetProperty("ruleId").GetString()!.StartsWith(prefix, StringComparison.Ordinal)).Select(Text).Order(StringComparer.Ordinal)];

    private static string Text(JsonElement result)
    {
        var place = result.GetProperty("locations")[0].GetProperty("physicalLocation");
        var numbers = new[] { "startLine", "startColumn", "endLine", "endColumn" }.Select(name => place.GetProperty("region").GetProperty(name).GetInt32());
        return $"{place.GetProperty("artifactLocation").GetProperty("uri").GetString()}({string.Join(',', numbers)}) {result.GetProperty("level").GetString()} {result.GetProperty("ruleId").GetString()}";
    }
}
