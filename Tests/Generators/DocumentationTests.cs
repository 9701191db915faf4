using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using PipelineDsl.Generators.Analyzers;

namespace PipelineDsl.Generators.Tests;

/// <summary>Runs the examples of the diagnostics' pages: each page shows exactly what its example causes.</summary>
public sealed partial class DocumentationTests
{
    private const string Usings = """
        global using PipelineDsl;
        global using TorchSharp;
        global using TorchSharp.Modules;
        global using static TorchSharp.torch;
        global using static TorchSharp.torch.nn;
        """;

    public static IEnumerable<TheoryDataRow<string>> Pages => Directory.GetFiles(Docs(), "PDSL*.md").Order(StringComparer.Ordinal)
        .Where(path => Recipes(File.ReadAllText(path)).Any() || Classes(File.ReadAllText(path)).Any())
        .Select(path => new TheoryDataRow<string>(Path.GetFileNameWithoutExtension(path)));

    [Theory]
    [MemberData(nameof(Pages))]
    public async Task A_page_shows_what_its_example_causes(string id)
    {
        string path = Path.Combine(Docs(), id + ".md");
        string page = File.ReadAllText(path).ReplaceLineEndings("\n");
        var run = new GeneratorRun().Source("Usings.cs", Usings).Source("StoryLlama.cs", Models.Llama);
        foreach (string recipe in Recipes(page))
        {
            run.Recipe(RecipeName().Match(recipe).Groups[1].Value + ".recipe.yaml", recipe);
        }

        foreach (string text in Classes(page))
        {
            run.Source("Mlp.cs", text);
        }

        var result = run.Run();
        var problems = result.Raw.Diagnostics.AddRange(await result.Output.WithAnalyzers([new ForwardCallAnalyzer()]).GetAnalyzerDiagnosticsAsync());
        problems.ShouldAllBe(problem => problem.Id == id);
        string printed = string.Join('\n', problems.Zip(problems.Select(GeneratorResult.Describe), (problem, line) => line.Replace($" {id}: ", $": {Word(problem.Severity)} {id}: ", StringComparison.Ordinal)));
        Snapshot.CheckFile(path, page, WithOutput(page, printed));
    }

    /// <summary>All but two: one takes another library, the other a word that is deprecated, of which the language has none.</summary>
    [Fact]
    public void Every_page_that_the_compiler_can_cause_has_an_example() =>
        Diagnostics.DiagnosticDescriptors.All.Select(descriptor => descriptor.Id).Except(Pages.Select(page => page.Data)).ShouldBe([PipelineDsl.Diagnostics.DiagnosticIds.YamlLibraryMismatch, PipelineDsl.Diagnostics.DiagnosticIds.Deprecated]);

    private static string Word(DiagnosticSeverity severity) => severity switch
    {
        DiagnosticSeverity.Error => "error",
        DiagnosticSeverity.Warning => "warning",
        _ => "info",
    };

    private static IEnumerable<string> Recipes(string page) => Block().Matches(page).Where(block => block.Groups[1].Value == "yaml").Select(block => block.Groups[2].Value).Where(text => text.StartsWith("recipe:", StringComparison.Ordinal));

    private static IEnumerable<string> Classes(string page) => Block().Matches(page).Where(block => block.Groups[1].Value == "csharp").Select(block => block.Groups[2].Value).Where(text => text.StartsWith("namespace", StringComparison.Ordinal));

    /// <summary>The page with its block of output replaced, or put behind the last example.</summary>
    private static string WithOutput(string page, string printed)
    {
        var blocks = Block().Matches(page);
        string block = $"```text\n{printed}\n```\n";
        return blocks.FirstOrDefault(candidate => candidate.Groups[1].Value == "text") is { } old
            ? page.Remove(old.Index, old.Length).Insert(old.Index, block)
            : page.Insert(blocks[^1].Index + blocks[^1].Length, "\n" + block);
    }

    private static string Docs() => Path.Combine(DiagnosticsTests.RepositoryRoot(), "docs");

    [GeneratedRegex(@"^```(\w+)\n(.*?)^```\n", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Block();

    [GeneratedRegex(@"\Arecipe: (\S+)")]
    private static partial Regex RecipeName();
}
