using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Models;

/// <summary>The recipe in the attributes of a class; its rules are on the members of the module classes.</summary>
/// <param name="ClassName">The class's full name.</param>
/// <param name="Parsed">What the class's own attributes say.</param>
internal sealed record AttributeRecipe(string ClassName, ParsedRecipe Parsed);
