using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes.Parsing;
using PipelineDsl.Recipes.Schema;

namespace PipelineDsl.Dsl.Tests;

/// <summary>What is marked <see cref="ObsoleteAttribute"/> in the language is told where a recipe uses it; where an attribute does, the compiler tells it by itself.</summary>
public sealed class DeprecationTests
{
    private static readonly WordDescriptor[] Words = [.. new[] { nameof(DeprecatedSteps.Rounding), "FormerRounding" }.Select(name => new StepDescriptor(typeof(DeprecatedSteps).GetNestedType(name)!))];

    [Theory]
    [InlineData("formerRounding", "{ bits: 4 }", "r.yaml(1,1,1,15): warning PDSL1021: 'formerRounding' is deprecated; use 'rounding'")]
    [InlineData("formerRounding", "", "r.yaml(1,1,1,15): warning PDSL1021: 'formerRounding' is deprecated; use 'rounding'")]
    [InlineData("rounding", "{ bits: 4, width: 3 }", "r.yaml(1,22,1,27): warning PDSL1021: 'width' is deprecated; write 'bits'")]
    [InlineData("rounding", "{ bits: 4 }", "")]
    public void A_recipe_that_uses_what_is_deprecated_is_warned_and_read(string word, string settings, string expected)
    {
        var said = new List<RecipeDiagnostic>();
        var (name, value) = ((YamlMapping)YamlReader.Read($"{word}: {settings}", "r.yaml", said.Add)!).Entries.Single();
        new WordReader(said.Add).Read(name, value, "step", Words).ShouldNotBeNull();
        string.Join("\n", said).ShouldBe(expected);
    }

    [Fact]
    public void The_schema_marks_what_is_deprecated_and_nothing_else()
    {
        var schema = JsonNode.Parse(RecipeSchema.Write(Words, _ => "What it is."))!;
        schema["formerRounding"]!["deprecated"]!.GetValue<bool>().ShouldBeTrue();
        schema["formerRounding"]!["description"]!.GetValue<string>().ShouldBe("What it is. Deprecated: use 'rounding'.");
        schema["rounding"]!["deprecated"].ShouldBeNull();
        schema["rounding"]!["properties"]!["width"]!["deprecated"]!.GetValue<bool>().ShouldBeTrue();
        schema["rounding"]!["properties"]!["bits"]!["deprecated"].ShouldBeNull();
    }
}
