using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;

namespace PipelineDsl.Generators.Tests;

/// <summary>A project in memory as an editor has it open: analyzers run, and fixes and refactorings are chosen by their titles.</summary>
internal sealed class EditorRun : IDisposable
{
    private const string Root = "/project/";

    private readonly AdhocWorkspace workspace = new();
    private readonly ProjectId id = ProjectId.CreateNewId();
    private Solution solution;

    public EditorRun()
    {
        solution = workspace.CurrentSolution.AddProject(ProjectInfo.Create(
            id,
            VersionStamp.Default,
            "Consumer",
            "Consumer",
            LanguageNames.CSharp,
            filePath: Root + "Consumer.csproj",
            compilationOptions: new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable),
            parseOptions: new CSharpParseOptions(LanguageVersion.Preview),
            metadataReferences: GeneratorRun.References));
        Config(".globalconfig", "is_global = true\nbuild_property.ProjectDir = /project/\n");
        Config(".editorconfig", "root = true\n[*.recipe.yaml]\nbuild_metadata.AdditionalFiles.PipelineRecipe = true\n");
    }

    public Project Project => solution.GetProject(id)!;

    /// <summary>The files that are recipes.</summary>
    public IReadOnlyList<string> Recipes => [.. Project.AdditionalDocuments.Select(document => document.FilePath![Root.Length..]).Order(StringComparer.Ordinal)];

    public EditorRun Source(string file, string text)
    {
        solution = solution.AddDocument(DocumentId.CreateNewId(id), Path.GetFileName(file), SourceText.From(text.ReplaceLineEndings("\n")), filePath: Root + file);
        return this;
    }

    public EditorRun Recipe(string file, string text)
    {
        solution = solution.AddAdditionalDocument(DocumentId.CreateNewId(id), Path.GetFileName(file), SourceText.From(text.ReplaceLineEndings("\n")), filePath: Root + file);
        return this;
    }

    /// <summary>The present text of a file.</summary>
    public string Text(string file) => TextOf(Document(file));

    /// <summary>What an analyzer says, and the compiler where its own ids are asked for.</summary>
    public async Task<ImmutableArray<Diagnostic>> Analyze(DiagnosticAnalyzer analyzer)
    {
        var compilation = (await Project.GetCompilationAsync())!;
        return [.. (await compilation.WithAnalyzers([analyzer], Project.AnalyzerOptions).GetAnalyzerDiagnosticsAsync()).OrderBy(problem => problem.Location.SourceSpan.Start)];
    }

    /// <summary>The compiler's own errors.</summary>
    public async Task<ImmutableArray<Diagnostic>> Compile() =>
        [.. (await Project.GetCompilationAsync())!.GetDiagnostics().Where(problem => problem.Severity == DiagnosticSeverity.Error).OrderBy(problem => problem.Location.SourceSpan.Start)];

    /// <summary>The titles of the fixes for a diagnostic.</summary>
    public async Task<IReadOnlyList<CodeAction>> Fixes(CodeFixProvider provider, Diagnostic problem)
    {
        var actions = new List<CodeAction>();
        if (provider.FixableDiagnosticIds.Contains(problem.Id))
        {
            await provider.RegisterCodeFixesAsync(new CodeFixContext(Project.GetDocument(problem.Location.SourceTree)!, problem, (action, _) => actions.Add(action), CancellationToken.None));
        }

        return actions;
    }

    /// <summary>What is offered at a text in a file.</summary>
    public async Task<IReadOnlyList<CodeAction>> Refactorings(CodeRefactoringProvider provider, string file, string at)
    {
        var document = Document(file);
        int start = TextOf(document).IndexOf(at, StringComparison.Ordinal);
        start.ShouldBeGreaterThanOrEqualTo(0, at);
        var actions = new List<CodeAction>();
        await provider.ComputeRefactoringsAsync(new CodeRefactoringContext(document, new TextSpan(start, 0), actions.Add, CancellationToken.None));
        return actions;
    }

    /// <summary>Takes what was offered.</summary>
    public async Task Apply(CodeAction action)
    {
        var operation = (await action.GetOperationsAsync(CancellationToken.None)).OfType<ApplyChangesOperation>().Single();
        solution = operation.ChangedSolution;
    }

    public void Dispose() => workspace.Dispose();

    private static string TextOf(TextDocument document) => document.GetTextAsync().GetAwaiter().GetResult().ToString();

    private TextDocument Document(string file) => Project.Documents.Cast<TextDocument>().Concat(Project.AdditionalDocuments).Single(document => document.FilePath == Root + file);

    private void Config(string file, string text) => solution = solution.AddAnalyzerConfigDocument(DocumentId.CreateNewId(id), file, SourceText.From(text), filePath: Root + file);
}
