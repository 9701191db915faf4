using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Finds words of the language where nobody reads them: steps on what is no member of a module, data for a recipe that is not there.</summary>
internal static class StrayWords
{
    /// <summary>The attributes that complete a recipe.</summary>
    public static readonly string[] Data = [nameof(CalibrateAttribute), nameof(TrainAttribute), nameof(EvaluateAttribute)];

    private static readonly HashSet<string> Steps = new(StepCatalog.Steps.SelectMany(step => new[] { step.Type.Name, step.Type.Name + nameof(Attribute) }), StringComparer.Ordinal);

    /// <summary>Whether an attribute on a field or property has the name of a step.</summary>
    public static bool MayBeStep(SyntaxNode node) =>
        node is AttributeSyntax { Parent.Parent: FieldDeclarationSyntax or PropertyDeclarationSyntax } attribute && Steps.Contains(NameOf(attribute.Name));

    /// <summary>What is wrong with a step's place, or null.</summary>
    public static RecipeDiagnostic? ReadStep(GeneratorSyntaxContext context, CancellationToken cancellation)
    {
        var attribute = (AttributeSyntax)context.Node;
        var member = MemberOf(attribute, context.SemanticModel, cancellation);
        if (member?.ContainingType is not { } owner || PlaceProblem(member, owner) is not { } problem || !SymbolFacts.IsWord(context.SemanticModel.GetTypeInfo(attribute, cancellation).Type as INamedTypeSymbol, nameof(Step)))
        {
            return null;
        }

        string name = NameOf(attribute.Name);
        string step = StepCatalog.Steps.First(known => name == known.Type.Name || name == known.Type.Name + nameof(Attribute)).Name;
        return new(DiagnosticIds.NotCompressible, Severity.Error, $"'{step}' stands on '{member.Name}', {problem}", SymbolFacts.Span(attribute.GetLocation()));
    }

    /// <summary>What is wrong with a recipe's data on a class, or null.</summary>
    public static RecipeDiagnostic? ReadData(GeneratorAttributeSyntaxContext context, CancellationToken cancellation)
    {
        string name = context.Attributes[0].AttributeClass!.Name;
        return IsRecipe(context.TargetSymbol) ? null : new(
            DiagnosticIds.StepWithoutRecipe,
            Severity.Warning,
            $"no recipe reads '{name.Substring(0, name.Length - nameof(Attribute).Length)}' on '{context.TargetSymbol.Name}'; put [Recipe] beside it, or drop it",
            AttributeSettings.SpanOf(context.Attributes[0], cancellation));
    }

    private static ISymbol? MemberOf(AttributeSyntax attribute, SemanticModel semantics, CancellationToken cancellation) => attribute.Parent!.Parent switch
    {
        FieldDeclarationSyntax { Declaration.Variables: [var first, ..] } => semantics.GetDeclaredSymbol(first, cancellation),
        PropertyDeclarationSyntax property => semantics.GetDeclaredSymbol(property, cancellation),
        _ => null,
    };

    private static string? PlaceProblem(ISymbol member, INamedTypeSymbol owner)
    {
        if (!SymbolFacts.IsModule(owner))
        {
            // That a recipe stands on no module is told at the recipe.
            return IsRecipe(owner) ? null : $"and '{owner.Name}' is no module; derive it from torch.nn.Module, or move the step to a layer of one";
        }

        bool holds = member is IFieldSymbol || owner.GetMembers().OfType<IFieldSymbol>().Any(field => SymbolEqualityComparer.Default.Equals(field.AssociatedSymbol, member));
        return member.IsStatic ? "which is static and so no part of the model; put it on a field of the model's own"
            : holds ? null
            : "which holds no layer itself; put it on the field or the auto-property that does";
    }

    private static bool IsRecipe(ISymbol type) => type.GetAttributes().Any(attribute => SymbolFacts.IsWord(attribute.AttributeClass, nameof(RecipeAttribute)));

    private static string NameOf(NameSyntax name) => name switch
    {
        SimpleNameSyntax simple => simple.Identifier.ValueText,
        QualifiedNameSyntax qualified => qualified.Right.Identifier.ValueText,
        AliasQualifiedNameSyntax alias => alias.Name.Identifier.ValueText,
        _ => "",
    };
}
