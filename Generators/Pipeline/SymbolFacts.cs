using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Questions about symbols, answered in the words of the models.</summary>
internal static class SymbolFacts
{
    private static readonly SymbolDisplayFormat FullNameFormat = new(typeQualificationStyle: SymbolDisplayTypeQualificationStyle.NameAndContainingTypesAndNamespaces);

    /// <summary>Whether a type is, or derives from, TorchSharp's Module.</summary>
    public static bool IsModule(ITypeSymbol? type) => SelfAndBases(type).Any(IsModuleRoot);

    /// <summary>Whether a type says nothing more than that it is some module.</summary>
    public static bool IsAnyModule(ITypeSymbol type) => type.TypeKind == TypeKind.Interface || type.TypeKind == TypeKind.TypeParameter || IsIn(type.ContainingType, "nn");

    /// <summary>Whether a field of this type may hold a module.</summary>
    public static bool MayHoldModule(ITypeSymbol type) => type switch
    {
        ITypeParameterSymbol parameter => parameter.ConstraintTypes.Any(MayHoldModule),
        { TypeKind: TypeKind.Interface } => type.Name == "IModule" && IsIn(type.ContainingType, "nn"),
        _ => IsModule(type),
    };

    /// <summary>Whether a type is one of TorchSharp's own modules.</summary>
    public static bool IsTorchModule(ITypeSymbol type) => type.ContainingNamespace is { Name: "Modules", ContainingNamespace: { Name: "TorchSharp", ContainingNamespace.IsGlobalNamespace: true } };

    /// <summary>Whether a module may have a weight that steps work on, itself or in what it holds.</summary>
    public static bool MayHoldLayers(ITypeSymbol type) => !IsTorchModule(type) || type.Name is "Linear" or "Embedding" or "Conv2d" or "Sequential" or "ModuleList" or "ModuleDict";

    /// <summary>Whether a method stands in <c>torch.nn</c>.</summary>
    public static bool IsTorchFactory(IMethodSymbol method) => IsIn(method.ContainingType, "nn") || IsIn(method.ContainingType?.ContainingType, "nn");

    /// <summary>Whether an attribute's class is, or derives from, a class of the recipe language.</summary>
    public static bool IsWord(INamedTypeSymbol? type, string name) => SelfAndBases(type).Any(candidate =>
        candidate.Name == name && candidate.ContainingNamespace is { Name: "PipelineDsl", ContainingNamespace.IsGlobalNamespace: true });

    /// <summary>The type and its bases, most derived first.</summary>
    public static IEnumerable<ITypeSymbol> SelfAndBases(ITypeSymbol? type)
    {
        for (var current = type; current is not null; current = current.BaseType)
        {
            yield return current;
        }
    }

    /// <summary>The full name with dots, without type arguments.</summary>
    public static string FullName(ITypeSymbol type) => type.OriginalDefinition.ToDisplayString(FullNameFormat);

    /// <summary>The name in messages.</summary>
    public static string ShortName(ITypeSymbol type) => type.ToDisplayString(SymbolDisplayFormat.MinimallyQualifiedFormat.WithMiscellaneousOptions(SymbolDisplayMiscellaneousOptions.UseSpecialTypes));

    /// <summary>A place in the source as the models carry it.</summary>
    public static SourceSpan Span(Location location)
    {
        var lines = location.GetLineSpan();
        return new(lines.Path, lines.StartLinePosition.Line + 1, lines.StartLinePosition.Character + 1, lines.EndLinePosition.Line + 1, lines.EndLinePosition.Character + 1);
    }

    /// <summary>Whether a method is what TorchSharp's Module declares as <c>forward</c>, or overrides it: then there is a <c>call</c> as well.</summary>
    public static bool IsForward(IMethodSymbol method)
    {
        if (method.Name != "forward")
        {
            return false;
        }

        while (method.OverriddenMethod is { } overridden)
        {
            method = overridden;
        }

        return method.ContainingType.Name == "Module" && IsIn(method.ContainingType.ContainingType, "nn");
    }

    public static bool IsModuleRoot(ITypeSymbol type) => type is INamedTypeSymbol { Name: "Module", Arity: 0 } && IsIn(type.ContainingType, "nn");

    private static bool IsIn(INamedTypeSymbol? type, string name) => type is not null && type.Name == name &&
        type.ContainingType is { Name: "torch", ContainingNamespace: { Name: "TorchSharp", ContainingNamespace.IsGlobalNamespace: true } };
}
