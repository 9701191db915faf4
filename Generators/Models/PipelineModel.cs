using PipelineDsl.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Models;

/// <summary>One pipeline to emit.</summary>
/// <param name="Identifier">The recipe's name as C# spells it: <c>Balanced</c>.</param>
/// <param name="RecipeName">The recipe's name.</param>
/// <param name="Source">The project-relative file the recipe is written in.</param>
/// <param name="Recipe">The recipe, or null when it is broken: then a stub keeps the user's code compiling.</param>
/// <param name="Model">The model's class.</param>
/// <param name="Tree">The model's modules.</param>
internal sealed record PipelineModel(string Identifier, string RecipeName, string Source, Recipe? Recipe, ModuleClass Model, ModelTree Tree)
{
    /// <summary>The generated class.</summary>
    public string ClassName => (char.IsDigit(Identifier[0]) ? "_" : "") + Identifier + "Pipeline";

    /// <summary>The generated loader on the model.</summary>
    public string LoadName => "Load" + Identifier;
}
