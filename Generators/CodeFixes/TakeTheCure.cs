using System;
using System.Composition;
using System.Linq;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.CodeFixes;

/// <summary>Writes what is meant where a mistake in a recipe or an attribute has one cure: a misspelt name, a rank that is too large or saves nothing.</summary>
/// <remarks>A refactoring, no code fix: editors ask for fixes of what analyzers report, and recipes are read by a generator.</remarks>
[Shared]
[ExportCodeRefactoringProvider(LanguageNames.CSharp, Name = nameof(TakeTheCure), DocumentKinds = new[] { nameof(TextDocumentKind.Document), nameof(TextDocumentKind.AdditionalDocument) })]
public sealed class TakeTheCure : CodeRefactoringProvider
{
    /// <inheritdoc/>
    public override async Task ComputeRefactoringsAsync(CodeRefactoringContext context)
    {
        var cancellation = context.CancellationToken;
        var document = context.TextDocument;
        if (!await MayHoldWordsAsync(context).ConfigureAwait(false) || await ProjectRecipes.ReadAsync(document.Project, null, cancellation).ConfigureAwait(false) is not { } recipes)
        {
            return;
        }

        var text = await document.GetTextAsync(cancellation).ConfigureAwait(false);
        foreach (var problem in recipes.Bound.Diagnostics.Where(problem => problem.Replacement is not null && problem.Span.Path == document.FilePath))
        {
            if (SpanIn(text, problem.Span) is { } span && span.Start <= context.Span.Start && context.Span.End <= span.End)
            {
                var corrected = text.Replace(span, problem.Replacement!);
                var solution = document is Document ? document.Project.Solution.WithDocumentText(document.Id, corrected) : document.Project.Solution.WithAdditionalDocumentText(document.Id, corrected);
                context.RegisterRefactoring(CodeAction.Create($"Write '{problem.Replacement}'", _ => Task.FromResult(solution), nameof(TakeTheCure) + problem.Id));
            }
        }
    }

    private static async Task<bool> MayHoldWordsAsync(CodeRefactoringContext context) => context.TextDocument is Document source
        ? await source.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false) is { } root && root.FindToken(context.Span.Start).Parent?.FirstAncestorOrSelf<AttributeSyntax>() is not null
        : ProjectRecipes.IsYaml(context.TextDocument);

    private static TextSpan? SpanIn(SourceText text, SourceSpan span)
    {
        if (span.EndLine > text.Lines.Count)
        {
            return null;
        }

        int start = text.Lines[span.Line - 1].Start + span.Column - 1;
        int end = text.Lines[span.EndLine - 1].Start + span.EndColumn - 1;
        return start <= end && end <= text.Length ? TextSpan.FromBounds(start, end) : null;
    }
}
