using System.Collections.Immutable;
using System.Composition;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.CodeFixes;

/// <summary>Turns <c>child.forward(x)</c> into <c>child.call(x)</c>.</summary>
[Shared]
[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(ForwardCallFix))]
public sealed class ForwardCallFix : CodeFixProvider
{
    private const string Title = "Call 'call', which runs the hooks";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ImmutableArray.Create(DiagnosticIds.ForwardPassesHooks);

    /// <inheritdoc/>
    public override FixAllProvider GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        if (await context.Document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false) is not { } root)
        {
            return;
        }

        var name = root.FindToken(context.Span.Start);
        if (name.ValueText == "forward")
        {
            var fixedDocument = context.Document.WithSyntaxRoot(root.ReplaceToken(name, SyntaxFactory.Identifier(name.LeadingTrivia, "call", name.TrailingTrivia)));
            context.RegisterCodeFix(CodeAction.Create(Title, _ => Task.FromResult(fixedDocument), nameof(ForwardCallFix)), context.Diagnostics);
        }
    }
}
