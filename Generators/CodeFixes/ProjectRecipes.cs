using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators;
using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;
using PipelineDsl.Recipes;

namespace PipelineDsl.CodeFixes;

/// <summary>What the generator makes of a project as it stands in the editor: the same reading, so that a refactoring means what the build means.</summary>
internal sealed class ProjectRecipes
{
    private readonly Compilation compilation;

    private ProjectRecipes(Project project, Compilation compilation, BoundProject bound)
    {
        Project = project;
        this.compilation = compilation;
        Bound = bound;
    }

    public Project Project { get; }

    public BoundProject Bound { get; }

    /// <summary>Whether a document may be a recipe, by its name.</summary>
    public static bool IsYaml(TextDocument document) =>
        document.FilePath is { } path && (path.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".yml", StringComparison.OrdinalIgnoreCase));

    /// <summary>Reads a project; null where it cannot be read.</summary>
    /// <param name="project">The project.</param>
    /// <param name="newRecipe">A file that is a recipe although the build has not said so yet, or null.</param>
    /// <param name="cancellation">Ends the reading.</param>
    public static async Task<ProjectRecipes?> ReadAsync(Project project, string? newRecipe, CancellationToken cancellation)
    {
        if (project.ParseOptions is not CSharpParseOptions parse || await project.GetCompilationAsync(cancellation).ConfigureAwait(false) is not { } compilation)
        {
            return null;
        }

        var result = CSharpGeneratorDriver.Create(
                new[] { new RecipeGenerator().AsSourceGenerator() },
                project.AnalyzerOptions.AdditionalFiles,
                parse,
                new RecipeOptions(project.AnalyzerOptions.AnalyzerConfigOptionsProvider, newRecipe),
                new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true))
            .RunGenerators(compilation, cancellation).GetRunResult().Results.Single();
        return result.Exception is null && result.TrackedSteps.TryGetValue(PipelineStepNames.BoundProject, out var steps)
            ? new(project, compilation, (BoundProject)steps.Single().Outputs.Single().Value)
            : null;
    }

    /// <summary>What stands at a place, or null where no document of the project holds it.</summary>
    public SyntaxToken? TokenAt(SourceSpan span, CancellationToken cancellation)
    {
        if (compilation.SyntaxTrees.FirstOrDefault(tree => tree.FilePath == span.Path) is not { } tree || Project.GetDocument(tree) is null)
        {
            return null;
        }

        var lines = tree.GetText(cancellation).Lines;
        return span.Line <= lines.Count ? tree.GetRoot(cancellation).FindToken(Math.Min(lines[span.Line - 1].Start + span.Column - 1, lines[span.Line - 1].End)) : null;
    }

    public SemanticModel SemanticsOf(SyntaxNode node) => compilation.GetSemanticModel(node.SyntaxTree);

    /// <summary>Whether the recipes mean the same in two states of a project, but for one where it is named.</summary>
    public bool MeansTheSame(ProjectRecipes other, string? except = null) => Recipes(this, except).SequenceEqual(Recipes(other, except));

    private static IEnumerable<(string Name, Recipe? Recipe)> Recipes(ProjectRecipes project, string? except) => project.Bound.Pipelines
        .Where(pipeline => pipeline.RecipeName != except)
        .OrderBy(pipeline => pipeline.RecipeName, StringComparer.Ordinal)
        .Select(pipeline => (pipeline.RecipeName, pipeline.Recipe?.WithoutPlaces()));

    /// <summary>The build's options, and that a file just made is a recipe.</summary>
    private sealed class RecipeOptions(AnalyzerConfigOptionsProvider inner, string? newRecipe) : AnalyzerConfigOptionsProvider
    {
        public override AnalyzerConfigOptions GlobalOptions => inner.GlobalOptions;

        public override AnalyzerConfigOptions GetOptions(SyntaxTree tree) => inner.GetOptions(tree);

        public override AnalyzerConfigOptions GetOptions(AdditionalText textFile) => textFile.Path == newRecipe ? new Marked() : inner.GetOptions(textFile);
    }

    private sealed class Marked : AnalyzerConfigOptions
    {
        public override bool TryGetValue(string key, out string value)
        {
            value = "true";
            return key == RecipeFile.Mark;
        }
    }
}
