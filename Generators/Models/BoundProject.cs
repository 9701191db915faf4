using PipelineDsl.Diagnostics;
using PipelineDsl.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Models;

/// <summary>Everything that the project's recipes come to.</summary>
/// <param name="Pipelines">What to emit a recipe.</param>
/// <param name="Layers">What to emit a model.</param>
/// <param name="Diagnostics">What is wrong.</param>
internal sealed record BoundProject(EquatableArray<PipelineModel> Pipelines, EquatableArray<LayerNamesModel> Layers, EquatableArray<RecipeDiagnostic> Diagnostics);

/// <summary>The constants for a model's layer paths.</summary>
/// <param name="ClassName">The generated class.</param>
/// <param name="Model">The model's class.</param>
/// <param name="Tree">The model's modules.</param>
internal sealed record LayerNamesModel(string ClassName, ModuleClass Model, ModelTree Tree);
