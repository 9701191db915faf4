using System.Linq;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Models;

/// <summary>A class that derives from TorchSharp's Module, as its source shows it.</summary>
internal sealed record ModuleClass
{
    /// <summary>Its full name, nested classes separated by dots.</summary>
    public required string FullName { get; init; }

    /// <summary>Its namespace, or nothing.</summary>
    public required string Namespace { get; init; }

    /// <summary>The class itself and the types around it, outermost first.</summary>
    public required EquatableArray<TypeHeader> Headers { get; init; }

    /// <summary>Whether other assemblies can see it.</summary>
    public required bool IsPublic { get; init; }

    /// <summary>Why the pipeline cannot create it, or null.</summary>
    public required string? CreationProblem { get; init; }

    /// <summary>Whether generated code can name it.</summary>
    public required bool IsNameable { get; init; }

    /// <summary>The class's own members whose names start with <c>Load</c>: those names are taken.</summary>
    public required EquatableArray<string> LoadMembers { get; init; }

    /// <summary>The modules inside it, in the order of their registration.</summary>
    public required EquatableArray<ModuleMember> Members { get; init; }

    /// <summary>What is wrong with the steps on its members.</summary>
    public required EquatableArray<RecipeDiagnostic> Diagnostics { get; init; }

    /// <summary>Where its name is declared.</summary>
    public required SourceSpan Span { get; init; }

    /// <summary>Its own name.</summary>
    public string Name => Headers[Headers.Count - 1].Name;

    /// <summary>Whether a generated part can be added to it.</summary>
    public bool IsPartial => Headers.All(header => header.IsPartial);
}

/// <summary>The head of a type declaration.</summary>
/// <param name="Keyword"><c>class</c>, <c>struct</c>, <c>record</c>, <c>interface</c>.</param>
/// <param name="Name">The name.</param>
/// <param name="IsPartial">Whether it is declared partial.</param>
internal sealed record TypeHeader(string Keyword, string Name, bool IsPartial);
