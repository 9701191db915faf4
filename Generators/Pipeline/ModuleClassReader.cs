using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Reads a class that derives from Module off its source.</summary>
internal static class ModuleClassReader
{
    public static bool MayBeModule(SyntaxNode node) => node is ClassDeclarationSyntax { BaseList: not null };

    /// <summary>The class, or null when it is no module or another part of it is read.</summary>
    public static ModuleClass? Read(SyntaxNode node, SemanticModel semantics, CancellationToken cancellation)
    {
        if (semantics.GetDeclaredSymbol(node, cancellation) is not INamedTypeSymbol type || !SymbolFacts.IsModule(type))
        {
            return null;
        }

        var parts = type.DeclaringSyntaxReferences.Select(reference => reference.GetSyntax(cancellation)).ToList();
        if (parts.First(MayBeModule) != node)
        {
            return null;
        }

        var problems = new List<RecipeDiagnostic>();
        var members = new ModuleMemberReader(semantics.Compilation, problems.Add, cancellation).Read(type);
        return new()
        {
            FullName = SymbolFacts.FullName(type),
            Namespace = type.ContainingNamespace.IsGlobalNamespace ? "" : type.ContainingNamespace.ToDisplayString(),
            Headers = new(Containers(type).Select(container => Header(container, cancellation))),
            IsPublic = Containers(type).All(container => container.DeclaredAccessibility == Accessibility.Public),
            IsNameable = NamingProblem(type) is null,
            CreationProblem = NamingProblem(type) ?? CreationProblem(type),
            LoadMembers = new(type.MemberNames.Where(name => name.StartsWith("Load", System.StringComparison.Ordinal)).OrderBy(name => name, System.StringComparer.Ordinal)),
            Members = new(members),
            Diagnostics = new(problems),
            Span = SymbolFacts.Span(((ClassDeclarationSyntax)node).Identifier.GetLocation()),
        };
    }

    private static IEnumerable<INamedTypeSymbol> Containers(INamedTypeSymbol type) =>
        type.ContainingType is { } container ? [.. Containers(container), type] : [type];

    private static TypeHeader Header(INamedTypeSymbol type, CancellationToken cancellation)
    {
        var parts = type.DeclaringSyntaxReferences.Select(reference => reference.GetSyntax(cancellation)).OfType<TypeDeclarationSyntax>();
        string keyword = type switch
        {
            { TypeKind: TypeKind.Interface } => "interface",
            { IsRecord: true, TypeKind: TypeKind.Struct } => "record struct",
            { IsRecord: true } => "record",
            { TypeKind: TypeKind.Struct } => "struct",
            _ => "class",
        };
        return new(keyword, type.Name, parts.Any(part => part.Modifiers.Any(modifier => modifier.ValueText == "partial")));
    }

    private static string? NamingProblem(INamedTypeSymbol type) =>
        Containers(type).Any(container => container.IsGenericType) ? "it has type parameters; use a class without them as the model"
        : Containers(type).Any(container => !IsVisible(container)) ? "code beside it cannot see it; make it internal or public"
        : null;

    private static string? CreationProblem(INamedTypeSymbol type)
    {
        if (type.IsAbstract)
        {
            return "it is abstract; use a class that can be created";
        }

        var constructor = type.InstanceConstructors.FirstOrDefault(candidate => IsVisible(candidate) && candidate.Parameters.All(parameter => parameter.IsOptional || parameter.IsParams));
        if (constructor is null)
        {
            return "no constructor can be called without arguments; add one, or give every parameter a default value";
        }

        bool asks = SymbolFacts.SelfAndBases(type).SelectMany(part => part.GetMembers()).Any(member => member is IPropertySymbol { IsRequired: true } or IFieldSymbol { IsRequired: true });
        return asks && !constructor.GetAttributes().Any(attribute => attribute.AttributeClass?.Name == "SetsRequiredMembersAttribute")
            ? "it has required members; set them in a constructor marked [SetsRequiredMembers]"
            : null;
    }

    private static bool IsVisible(ISymbol symbol) =>
        symbol.DeclaredAccessibility is Accessibility.Public or Accessibility.Internal or Accessibility.ProtectedOrInternal && symbol is not INamedTypeSymbol { IsFileLocal: true };
}
