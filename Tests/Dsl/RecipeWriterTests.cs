using System.Text.Json.Nodes;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Parsing;

namespace PipelineDsl.Dsl.Tests;

/// <summary>A written recipe is read as the same recipe.</summary>
public sealed class RecipeWriterTests
{
    private static readonly JsonNode Schema = JsonNode.Parse(File.ReadAllText(Documentation.File("docs", "recipe.schema.json")))!;

    public static TheoryData<string> Alone => [.. RecipeCorpus.Valid.Where(item => !item.Value.Contains("extends:", StringComparison.Ordinal)).Select(item => item.Key)];

    [Theory]
    [MemberData(nameof(Alone))]
    public void A_right_recipe_is_read_from_its_own_text_and_the_schema_accepts_it(string name)
    {
        var recipe = Bind(RecipeCorpus.Valid[name]);
        string text = RecipeWriter.Write(recipe, "../recipe.schema.json");
        text.ShouldStartWith("# yaml-language-server: $schema=../recipe.schema.json\nversion: 1\nrecipe: ");
        Bind(text).WithoutPlaces().ShouldBe(recipe.WithoutPlaces());
        RecipeWriter.Write(Bind(text), "../recipe.schema.json").ShouldBe(text);
        JsonSchemaValidator.Check(Schema, YamlJson.Convert(text)).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("weights.safetensors")]
    [InlineData("a folder/with: signs, {braces} # and 'quotes' \"\\")]
    [InlineData("null")]
    [InlineData("12")]
    [InlineData("&anchor")]
    [InlineData("täglich\u2028neu\tund \u0001")]
    [InlineData("ends\n")]
    public void Whatever_a_text_is_it_is_read_back(string weights)
    {
        var recipe = Bind("recipe: r\nmodel: M\nweights: w\nsteps:\n  - match: lm_head\n    quantize:\n") with { Weights = weights };
        Bind(RecipeWriter.Write(recipe)).Weights.ShouldBe(weights);
    }

    [Fact]
    public void Another_rank_is_another_recipe_wherever_they_stand()
    {
        const string text = "recipe: r\nmodel: M\nweights: w\nsteps:\n  - match: lm_head\n    decompose: { rank: 8 }\n";
        Bind(text).ShouldNotBe(Bind("# moved\n" + text));
        Bind(text).WithoutPlaces().ShouldBe(Bind("# moved\n" + text).WithoutPlaces());
        Bind(text).WithoutPlaces().ShouldNotBe(Bind(text.Replace("8", "9", StringComparison.Ordinal)).WithoutPlaces());
    }

    [Fact]
    public void A_recipe_that_stands_on_another_cannot_be_written_alone()
    {
        var top = RecipeParser.Parse("recipe: top\nextends: base\nsteps:\n  - match: b\n    keep:\n", "top.yaml");
        var below = RecipeParser.Parse("recipe: base\nmodel: M\nweights: w\nsteps:\n  - match: b\n    quantize:\n", "base.yaml");
        var recipe = new RecipeBinder(new Dictionary<string, ParsedRecipe> { ["top"] = top, ["base"] = below }, allowOutsidePaths: false).Bind(top, problem => throw new InvalidOperationException(problem.Message))!;
        Should.Throw<ArgumentException>(() => RecipeWriter.Write(recipe)).Message.ShouldStartWith("'top' extends another recipe");
    }

    private static Recipe Bind(string text)
    {
        var parsed = RecipeParser.Parse(text, "r.yaml");
        parsed.Diagnostics.ShouldBeEmpty();
        return new RecipeBinder(new Dictionary<string, ParsedRecipe> { [parsed.Draft.Name!] = parsed }, allowOutsidePaths: false).Bind(parsed, problem => throw new InvalidOperationException(problem.Message))!;
    }
}
