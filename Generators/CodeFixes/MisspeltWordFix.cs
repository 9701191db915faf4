using System.Collections.Generic;
using System.Collections.Immutable;
using System.Composition;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace PipelineDsl.CodeFixes;

/// <summary>Corrects slips of the finger in attributes: in the name of a word, of a setting or of a choice, which the compiler itself refuses.</summary>
[Shared]
[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(MisspeltWordFix))]
public sealed class MisspeltWordFix : CodeFixProvider
{
    /// <summary>The compiler's own codes: a type, one in a namespace, and a member of a type, that is not there.</summary>
    private const string UnknownType = "CS0246";
    private const string UnknownTypeThere = "CS0234";
    private const string UnknownMember = "CS0117";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ImmutableArray.Create(UnknownType, UnknownTypeThere, UnknownMember);

    /// <inheritdoc/>
    public override FixAllProvider GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        var cancellation = context.CancellationToken;
        if (await context.Document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false) is not { } root ||
            root.FindToken(context.Span.Start).Parent is not { } node || node.FirstAncestorOrSelf<AttributeSyntax>() is not { } attribute ||
            await context.Document.GetSemanticModelAsync(cancellation).ConfigureAwait(false) is not { } semantics ||
            Choices(node, attribute, semantics, cancellation) is not { } found || NearestName.Find(found.Name.ValueText, found.Choices) is not { } meant)
        {
            return;
        }

        var corrected = context.Document.WithSyntaxRoot(root.ReplaceToken(found.Name, SyntaxFactory.Identifier(found.Name.LeadingTrivia, meant, found.Name.TrailingTrivia)));
        context.RegisterCodeFix(CodeAction.Create($"Write '{meant}'", _ => Task.FromResult(corrected), nameof(MisspeltWordFix) + meant), context.Diagnostics);
    }

    /// <summary>The name that is wrong and those that there are; null where it is no word of the language.</summary>
    private static (SyntaxToken Name, IEnumerable<string> Choices)? Choices(SyntaxNode node, AttributeSyntax attribute, SemanticModel semantics, CancellationToken cancellation)
    {
        if (AttributeNames.SimpleName(attribute.Name) is { } name && name.Span.Contains(node.Span))
        {
            return (name.Identifier, attribute.Parent?.Parent is BaseTypeDeclarationSyntax ? Language.Headings : StepCatalog.Steps.Select(step => step.Type.Name));
        }

        if (semantics.GetTypeInfo(attribute, cancellation).Type is not INamedTypeSymbol word || !Language.IsIn(word))
        {
            return null;
        }

        return node.FirstAncestorOrSelf<AttributeArgumentSyntax>() switch
        {
            { NameEquals.Name: var setting } when setting.Span.Contains(node.Span) => (setting.Identifier, Language.SettingsOf(word.Name)),
            { Expression: var value } when node.FirstAncestorOrSelf<MemberAccessExpressionSyntax>() is { } choice && value.Span.Contains(choice.Span) && choice.Name.Span.Contains(node.Span) &&
                semantics.GetSymbolInfo(choice.Expression, cancellation).Symbol is INamedTypeSymbol { TypeKind: TypeKind.Enum } type && Language.IsIn(type) => (choice.Name.Identifier, type.MemberNames.Where(member => member != "value__" && member != ".ctor")),
            _ => null,
        };
    }
}
