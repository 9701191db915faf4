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
    private static readonly HashSet<string> Data = new(new[] { nameof(CalibrateAttribute), nameof(TrainAttribute), nameof(EvaluateAttribute) }.SelectMany(Spellings)
        .Concat(AnalysisCatalog.Analyses.SelectMany(analysis => new[] { analysis.Type.Name, analysis.Type.Name + nameof(Attribute) })), StringComparer.Ordinal);

    private static readonly HashSet<string> Steps = new(StepCatalog.Steps.SelectMany(step => new[] { step.Type.Name, step.Type.Name + nameof(Attribute) }), StringComparer.Ordinal);

    /// <summary>Whether an attribute has the name of a step, on a field or property, or of a recipe's data, on a class.</summary>
    public static bool MayBeWord(SyntaxNode node) => node is AttributeSyntax { Parent.Parent: var owner } attribute && owner switch
    {
        FieldDeclarationSyntax or PropertyDeclarationSyntax => IsNamed(attribute, Steps),
        ParameterSyntax { Parent.Parent: RecordDeclarationSyntax } => attribute.Parent is AttributeListSyntax { Target: not null } && IsNamed(attribute, Steps),
        ClassDeclarationSyntax or RecordDeclarationSyntax => IsNamed(attribute, Data),
        _ => false,
    };

    /// <summary>By one of some names, or by another that the file gives to what has one.</summary>
    private static bool IsNamed(AttributeSyntax attribute, HashSet<string> names)
    {
        string name = NameOf(attribute.Name);
        return names.Contains(name)
            || (attribute.SyntaxTree.GetRoot() is CompilationUnitSyntax file && file.Usings.Any(use => use is { Alias.Name.Identifier.ValueText: var alias, Name: { } meant } && alias == name && names.Contains(NameOf(meant))));
    }

    /// <summary>What is wrong with a word's place, or null.</summary>
    public static RecipeDiagnostic? Read(GeneratorSyntaxContext context, CancellationToken cancellation)
    {
        var attribute = (AttributeSyntax)context.Node;
        return attribute.Parent!.Parent is TypeDeclarationSyntax type ? ReadData(attribute, type, context.SemanticModel, cancellation) : ReadStep(attribute, context.SemanticModel, cancellation);
    }

    private static RecipeDiagnostic? ReadStep(AttributeSyntax attribute, SemanticModel semantics, CancellationToken cancellation)
    {
        var member = MemberOf(attribute, semantics, cancellation);
        if (member?.ContainingType is not { } owner || PlaceProblem(member, owner) is not { } problem
            || semantics.GetTypeInfo(attribute, cancellation).Type is not INamedTypeSymbol word || !SymbolFacts.IsWord(word, nameof(Step)))
        {
            return null;
        }

        string step = StepCatalog.Steps.FirstOrDefault(known => known.Type.Name == word.Name)?.Name ?? word.Name;
        return new(DiagnosticIds.NotCompressible, Severity.Error, $"'{step}' stands on '{member.Name}', {problem}", SymbolFacts.Span(attribute.GetLocation()));
    }

    private static RecipeDiagnostic? ReadData(AttributeSyntax attribute, TypeDeclarationSyntax type, SemanticModel semantics, CancellationToken cancellation)
    {
        if (semantics.GetDeclaredSymbol(type, cancellation) is not { } owner || IsRecipe(owner) || semantics.GetTypeInfo(attribute, cancellation).Type is not INamedTypeSymbol word || !Data.Any(name => SymbolFacts.IsWord(word, name)))
        {
            return null;
        }

        string name = word.Name.EndsWith(nameof(Attribute), StringComparison.Ordinal) ? word.Name.Substring(0, word.Name.Length - nameof(Attribute).Length) : word.Name;
        return new(DiagnosticIds.StepWithoutRecipe, Severity.Warning, $"no recipe reads '{name}' on '{owner.Name}'; put [Recipe] beside it, or drop it", SymbolFacts.Span(attribute.GetLocation()));
    }

    private static IEnumerable<string> Spellings(string name) => [name, name.Substring(0, name.Length - nameof(Attribute).Length)];

    private static ISymbol? MemberOf(AttributeSyntax attribute, SemanticModel semantics, CancellationToken cancellation) => attribute.Parent!.Parent switch
    {
        FieldDeclarationSyntax { Declaration.Variables: [var first, ..] } => semantics.GetDeclaredSymbol(first, cancellation),
        PropertyDeclarationSyntax property => semantics.GetDeclaredSymbol(property, cancellation),
        ParameterSyntax parameter => semantics.GetDeclaredSymbol(parameter, cancellation)?.ContainingType.GetMembers(parameter.Identifier.ValueText).FirstOrDefault(),
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
