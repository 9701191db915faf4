using System;
using System.Collections.Generic;
using System.Composition;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;
using PipelineDsl.Recipes;

namespace PipelineDsl.CodeFixes;

/// <summary>Turns the attributes of a recipe into a recipe file. It is offered only where the file binds to the same recipe and no other recipe changes.</summary>
[Shared]
[ExportCodeRefactoringProvider(LanguageNames.CSharp, Name = nameof(MoveToRecipe))]
public sealed class MoveToRecipe : CodeRefactoringProvider
{
    private const string Schema = "https://raw.githubusercontent.com/pipelinedsl/pipelinedsl/main/docs/recipe.schema.json";

    /// <inheritdoc/>
    public override async Task ComputeRefactoringsAsync(CodeRefactoringContext context)
    {
        var cancellation = context.CancellationToken;
        if (await context.Document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false) is not { } root || AttributeAt(root.FindToken(context.Span.Start)) is not { } attribute)
        {
            return;
        }

        var lines = attribute.GetLocation().GetLineSpan();
        if (await ProjectRecipes.ReadAsync(context.Document.Project, null, cancellation).ConfigureAwait(false) is { } before &&
            before.Bound.Pipelines.FirstOrDefault(pipeline => pipeline.Recipe is { Span: var span } && span.Path == lines.Path && span.Line - 1 >= lines.StartLinePosition.Line && span.Line - 1 <= lines.EndLinePosition.Line) is { } pipeline &&
            Move(before, pipeline, cancellation) is { } moved &&
            await ProjectRecipes.ReadAsync(moved.Project, moved.File, cancellation).ConfigureAwait(false) is { } after && after.MeansTheSame(before))
        {
            context.RegisterRefactoring(CodeAction.Create($"Move '{pipeline.RecipeName}' to a recipe file", _ => Task.FromResult(moved.Project.Solution), nameof(MoveToRecipe)));
        }
    }

    /// <summary>[Recipe], from itself or from the name of its class.</summary>
    private static AttributeSyntax? AttributeAt(SyntaxToken token) => token.Parent is ClassDeclarationSyntax type && type.Identifier == token
        ? type.AttributeLists.SelectMany(list => list.Attributes).FirstOrDefault(IsRecipe)
        : token.Parent?.FirstAncestorOrSelf<AttributeSyntax>() is { Parent.Parent: ClassDeclarationSyntax } attribute && IsRecipe(attribute) ? attribute : null;

    private static bool IsRecipe(AttributeSyntax attribute) => AttributeNames.NameOf(attribute) is "Recipe" or nameof(RecipeAttribute);

    private static (Project Project, string File)? Move(ProjectRecipes recipes, PipelineModel pipeline, CancellationToken cancellation)
    {
        var recipe = pipeline.Recipe!;
        var project = recipes.Project;
        var neighbour = project.AdditionalDocuments
            .Where(document => document.FilePath is { } path && (path.EndsWith(".recipe.yaml", StringComparison.Ordinal) || path.EndsWith(".recipe.yml", StringComparison.Ordinal)))
            .OrderBy(document => document.FilePath, StringComparer.Ordinal).FirstOrDefault();
        string? home = Path.GetDirectoryName(neighbour?.FilePath ?? project.FilePath);
        if (home is null)
        {
            return null;
        }

        string file = Path.Combine(home, recipe.Name + ".recipe.yaml");
        if (project.AdditionalDocuments.Any(document => string.Equals(document.FilePath, file, StringComparison.OrdinalIgnoreCase)) || Words(recipes, pipeline, cancellation) is not { } words)
        {
            return null;
        }

        var edits = new SourceEdits();
        edits.Remove(words);
        var changed = edits.Apply(project, cancellation);
        return (changed.AddAdditionalDocument(Path.GetFileName(file), SourceText.From(RecipeWriter.Write(recipe, SchemaOf(neighbour, cancellation)), System.Text.Encoding.UTF8), Folders(project, home), file).Project, file);
    }

    /// <summary>The attributes that make up the recipe and no other one; null where one cannot be found.</summary>
    private static List<AttributeSyntax>? Words(ProjectRecipes recipes, PipelineModel pipeline, CancellationToken cancellation)
    {
        var shared = new HashSet<SourceSpan>(recipes.Bound.Pipelines.Where(other => other != pipeline && other.Recipe is not null).SelectMany(other => other.Recipe!.Rules).SelectMany(rule => rule.Steps).Select(step => step.Span));
        var recipe = pipeline.Recipe!;
        SourceSpan[] places =
        [
            recipe.Span,
            .. new[] { recipe.Calibrate?.Span, recipe.Train?.Span, recipe.Evaluate?.DataSpan }.OfType<SourceSpan>(),
            .. recipe.Analyze.Select(analysis => analysis.Span),
            .. recipe.Rules.SelectMany(rule => rule.Steps).Select(step => step.Span).Where(span => !shared.Contains(span)),
        ];
        var found = places.Select(place => recipes.TokenAt(place, cancellation)?.Parent?.FirstAncestorOrSelf<AttributeSyntax>()).ToList();
        return found.Any(attribute => attribute is null) ? null : found.OfType<AttributeSyntax>().ToList();
    }

    /// <summary>The schema that the recipe beside it names, else where it is published.</summary>
    private static string SchemaOf(TextDocument? neighbour, CancellationToken cancellation)
    {
        string first = neighbour is not null && neighbour.TryGetText(out var text) ? text.Lines[0].ToString() : "";
        cancellation.ThrowIfCancellationRequested();
        return first.StartsWith(RecipeWriter.Modeline, StringComparison.Ordinal) ? first.Substring(RecipeWriter.Modeline.Length).Trim() : Schema;
    }

    private static string[] Folders(Project project, string home)
    {
        string? root = Path.GetDirectoryName(project.FilePath);
        return root is not null && home.Length > root.Length && home.StartsWith(root, StringComparison.OrdinalIgnoreCase)
            ? home.Substring(root.Length).Split(['/', '\\'], StringSplitOptions.RemoveEmptyEntries)
            : [];
    }
}
