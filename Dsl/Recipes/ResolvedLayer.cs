using System;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes;

/// <summary>A layer that a recipe may speak of.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="TypeName">Its class, for messages.</param>
/// <param name="Kind">What it is to a step, or null where the source does not show it.</param>
/// <param name="Shape">Its shape, or null where it is not known yet.</param>
public sealed record LayerCandidate(string Path, string TypeName, LayerKinds? Kind, LayerShape? Shape)
{
    /// <summary>Whether this stands for members that the source does not show (a path that ends in <c>**</c>): rules may reach them, and nothing more is known.</summary>
    public bool IsOpen => Path.EndsWith("**", StringComparison.Ordinal);
}

/// <summary>A layer with its chain of steps.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Steps">Its steps in the order they run; empty when the layer is kept.</param>
/// <param name="Span">Where the rule that chose them is written.</param>
public sealed record ResolvedLayer(LayerCandidate Layer, EquatableArray<PlacedStep> Steps, SourceSpan Span)
{
    /// <summary>Whether an analysis changes the layer, on which no step works.</summary>
    public bool IsEdited { get; init; }
}
