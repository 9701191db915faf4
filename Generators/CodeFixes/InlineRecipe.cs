using System;
using System.Collections.Generic;
using System.Composition;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;
using PipelineDsl.Recipes;

namespace PipelineDsl.CodeFixes;

/// <summary>
/// Turns a recipe file into attributes, from the file or from the model's class. It is offered only where every layer gets the same steps and no other recipe changes:
/// a pattern that tells the items of a list apart, or two uses of one class, cannot be said in attributes.
/// </summary>
[Shared]
[ExportCodeRefactoringProvider(LanguageNames.CSharp, Name = nameof(InlineRecipe), DocumentKinds = new[] { nameof(TextDocumentKind.Document), nameof(TextDocumentKind.AdditionalDocument) })]
public sealed class InlineRecipe : CodeRefactoringProvider
{
    /// <inheritdoc/>
    public override async Task ComputeRefactoringsAsync(CodeRefactoringContext context)
    {
        var cancellation = context.CancellationToken;
        var document = context.TextDocument;
        if (!await MayBeRecipeAsync(document, context.Span.Start, cancellation).ConfigureAwait(false) ||
            await ProjectRecipes.ReadAsync(document.Project, null, cancellation).ConfigureAwait(false) is not { } before)
        {
            return;
        }

        foreach (var pipeline in before.Bound.Pipelines.Where(pipeline => IsMeant(before, pipeline, document, context.Span.Start, cancellation)))
        {
            if (Inline(before, pipeline, cancellation) is { } inlined &&
                await ProjectRecipes.ReadAsync(inlined, null, cancellation).ConfigureAwait(false) is { } after && MeansTheSame(before, after, pipeline))
            {
                context.RegisterRefactoring(CodeAction.Create($"Inline recipe '{pipeline.RecipeName}' as attributes", _ => Task.FromResult(inlined.Solution), nameof(InlineRecipe) + pipeline.RecipeName));
            }
        }
    }

    private static async Task<bool> MayBeRecipeAsync(TextDocument document, int position, CancellationToken cancellation)
    {
        if (document is not Document source)
        {
            return ProjectRecipes.IsYaml(document);
        }

        return document.Project.AdditionalDocuments.Any() && await source.GetSyntaxRootAsync(cancellation).ConfigureAwait(false) is { } root &&
            root.FindToken(position) is { Parent: ClassDeclarationSyntax { BaseList: not null } type } token && type.Identifier == token;
    }

    /// <summary>Whether a recipe stands alone in a file, and the file or its model is pointed at.</summary>
    private static bool IsMeant(ProjectRecipes recipes, PipelineModel pipeline, TextDocument document, int position, CancellationToken cancellation)
    {
        if (pipeline.Recipe is not { } recipe || FileOf(recipes.Project, recipe) is not { } file || recipe.Rules.Any(rule => rule.Level > 0 || rule.Span.Path != recipe.Span.Path))
        {
            return false;
        }

        return document is Document ? recipes.TokenAt(pipeline.Model.Span, cancellation) is { } name && name.Span.Contains(position) && name.SyntaxTree!.FilePath == document.FilePath : file.Id == document.Id;
    }

    private static TextDocument? FileOf(Project project, Recipe recipe) => project.AdditionalDocuments.FirstOrDefault(document => document.FilePath == recipe.Span.Path);

    private static Project? Inline(ProjectRecipes recipes, PipelineModel pipeline, CancellationToken cancellation)
    {
        var recipe = pipeline.Recipe!;
        if (recipes.TokenAt(pipeline.Model.Span, cancellation)?.Parent is not ClassDeclarationSyntax model || StepsByPlace(recipe, pipeline) is not { } places)
        {
            return null;
        }

        var additions = new List<(SyntaxNode Declaration, Func<AttributeText, IEnumerable<string>> Write)> { (model, text => text.Recipe(recipe)) };
        foreach (var member in places)
        {
            if (recipes.TokenAt(member.Key, cancellation) is not { } name || DeclarationOf(name) is not { } declaration || additions.Any(known => known.Declaration == declaration))
            {
                return null;
            }

            additions.Add((declaration, text => member.Value.Select(text.Step)));
        }

        var edits = new SourceEdits();
        foreach (var file in additions.GroupBy(addition => addition.Declaration.SyntaxTree))
        {
            bool isNamed = true;
            foreach (var (declaration, write) in file)
            {
                var text = new AttributeText(recipes.SemanticsOf(declaration), declaration.SpanStart);
                isNamed &= text.IsNamed;
                edits.Insert(declaration, write(text), cancellation);
            }

            if (!isNamed)
            {
                edits.Using(file.Key, cancellation);
            }
        }

        return edits.Apply(recipes.Project, cancellation).RemoveAdditionalDocument(FileOf(recipes.Project, recipe)!.Id);
    }

    /// <summary>The steps of each member's declaration; null where they depend on more than that.</summary>
    private static Dictionary<SourceSpan, EquatableArray<PlacedStep>>? StepsByPlace(Recipe recipe, PipelineModel pipeline)
    {
        var order = recipe.Rules.SelectMany(rule => rule.Steps).ToList();
        var declared = pipeline.Tree.Members.GroupBy(member => member.Path, StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.First().Span, StringComparer.Ordinal);
        var places = new Dictionary<SourceSpan, EquatableArray<PlacedStep>>();
        foreach (var layer in RecipeResolver.Resolve(recipe, LayerCandidates.Of(pipeline.Tree, recipe.Rules), static _ => { }).Where(layer => !layer.IsEdited))
        {
            EquatableArray<PlacedStep> steps = layer.Steps.Count == 0
                ? new([new(new Keep(), default, layer.Span)])
                : new(layer.Steps.OrderBy(step => order.FindIndex(known => ReferenceEquals(known, step))));
            if (!declared.TryGetValue(layer.Layer.Path, out var place) || (places.TryGetValue(place, out var others) && others.WithoutPlaces() != steps.WithoutPlaces()))
            {
                return null;
            }

            places[place] = steps;
        }

        return places;
    }

    private static SyntaxNode? DeclarationOf(SyntaxToken name) => name.Parent switch
    {
        VariableDeclaratorSyntax { Parent.Parent: FieldDeclarationSyntax field } variable when variable.Identifier == name => field,
        PropertyDeclarationSyntax property when property.Identifier == name => property,
        _ => null,
    };

    private static bool MeansTheSame(ProjectRecipes before, ProjectRecipes after, PipelineModel pipeline) =>
        after.MeansTheSame(before, pipeline.RecipeName) &&
        after.Bound.Pipelines.FirstOrDefault(candidate => candidate.RecipeName == pipeline.RecipeName) is { Recipe: { } recipe } inlined &&
        inlined.Model.FullName == pipeline.Model.FullName &&
        recipe.WithoutPlaces() with { Rules = default } == pipeline.Recipe!.WithoutPlaces() with { Rules = default } &&
        Layers(recipe, pipeline).SequenceEqual(Layers(pipeline.Recipe!, pipeline));

    /// <summary>What becomes of each layer, with the lists told apart as the recipe in the file does.</summary>
    private static IEnumerable<(string Path, EquatableArray<PlacedStep> Steps)> Layers(Recipe recipe, PipelineModel pipeline) =>
        RecipeResolver.Resolve(recipe, LayerCandidates.Of(pipeline.Tree, pipeline.Recipe!.Rules), static _ => { }).Select(layer => (layer.Layer.Path, layer.Steps.WithoutPlaces()));
}
