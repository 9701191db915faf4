using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Models;

/// <summary>The modules of a model as its source code shows them.</summary>
/// <param name="Name">The full name of the model's class.</param>
/// <param name="Members">Every member at any depth, by path.</param>
public sealed record ModelTree(string Name, EquatableArray<ModelMember> Members);

/// <summary>One module inside a model.</summary>
/// <param name="Path">The path from the model, as weights name it; <c>*</c> stands for the index in a list: <c>layers.*.attention.q_proj</c>. A path that ends in <c>**</c> stands for members that the source does not show.</param>
/// <param name="TypeName">The class, for messages: <c>Linear</c>, <c>Module&lt;Tensor, Tensor&gt;</c>.</param>
/// <param name="Kind">What the member is to a step; <see cref="LayerKinds.None"/> when it has no weight that a step can work on, null when the code does not show it.</param>
/// <param name="Shape">The weight's shape where the constructor's constants tell, else null.</param>
/// <param name="Span">Where the member is declared.</param>
/// <param name="Steps">The steps written on it as attributes.</param>
public sealed record ModelMember(string Path, string TypeName, LayerKinds? Kind, LayerShape? Shape, SourceSpan Span, EquatableArray<PlacedStep> Steps);
