using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace PipelineDsl.CodeFixes;

/// <summary>Names of attributes as written.</summary>
internal static class AttributeNames
{
    /// <summary>The last part of an attribute's name.</summary>
    public static string NameOf(AttributeSyntax attribute) => SimpleName(attribute.Name)?.Identifier.ValueText ?? "";

    /// <summary>The last part of a name.</summary>
    public static SimpleNameSyntax? SimpleName(NameSyntax name) => name switch
    {
        SimpleNameSyntax simple => simple,
        QualifiedNameSyntax qualified => qualified.Right,
        AliasQualifiedNameSyntax alias => alias.Name,
        _ => null,
    };
}
