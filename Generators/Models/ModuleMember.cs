using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Models;

/// <summary>A field (or auto-property) of a module class that holds a module.</summary>
/// <param name="Name">The name under which TorchSharp registers it; <c>*</c> for the items of a list.</param>
/// <param name="TypeName">Its type, for messages.</param>
/// <param name="Kind">What it is to a step; null when the source does not show it.</param>
/// <param name="Shape">The weight's shape, where constants tell.</param>
/// <param name="ClassName">The full name of the module class to look into, or null.</param>
/// <param name="IsOpen">Whether it may hold members that the source does not show.</param>
/// <param name="Span">Where it is declared.</param>
/// <param name="Steps">The steps written on it.</param>
/// <param name="Children">The members that its own expression shows: items of a list or a sequence.</param>
internal sealed record ModuleMember(
    string Name,
    string TypeName,
    LayerKinds? Kind,
    LayerShape? Shape,
    string? ClassName,
    bool IsOpen,
    SourceSpan Span,
    EquatableArray<PlacedStep> Steps,
    EquatableArray<ModuleMember> Children);
