using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Parsing;
using YamlDotNet.Core;

namespace PipelineDsl.Dsl.Tests;

/// <summary>The compiler and the schema for editors say the same of every recipe, as far as a schema can.</summary>
public sealed class RecipeCorpusTests
{
    private const string Base = "recipe: base\nmodel: M\nweights: w.safetensors\nsteps:\n  - match: \"model.layers.**\"\n    quantize:\n";

    private static readonly LayerCandidate[] Layers =
    [
        Layer("model.embed_tokens", LayerKinds.Embedding, 512, 64),
        Layer("model.layers.0.q_proj", LayerKinds.Linear, 64, 64), Layer("model.layers.0.k_proj", LayerKinds.Linear, 32, 64),
        Layer("model.layers.1.q_proj", LayerKinds.Linear, 64, 64), Layer("model.layers.1.k_proj", LayerKinds.Linear, 32, 64),
        Layer("conv", LayerKinds.Conv2d, 64, 576),
        new("norm", "LayerNorm", LayerKinds.None, null),
        Layer("lm_head", LayerKinds.Linear, 512, 64),
        Layer("0", LayerKinds.Linear, 64, 64),
    ];

    private static readonly JsonNode Schema = JsonNode.Parse(File.ReadAllText(Documentation.File("docs", "recipe.schema.json")))!;

    public static TheoryData<string> Valid => [.. RecipeCorpus.Valid.Keys];

    public static TheoryData<string> Invalid => [.. RecipeCorpus.Invalid.Keys];

    [Theory]
    [MemberData(nameof(Valid))]
    public void A_right_recipe_is_right_to_compiler_and_schema(string name)
    {
        string text = RecipeCorpus.Valid[name];
        Compile(text).ShouldBeEmpty();
        JsonSchemaValidator.Check(Schema, YamlJson.Convert(text)).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Invalid))]
    public void A_wrong_recipe_is_refused_at_its_place_by_the_compiler(string name)
    {
        var (text, id, _) = RecipeCorpus.Invalid[name];
        var problems = Compile(text);
        problems.Select(problem => problem.Id).Distinct().ShouldBe([id]);
        string[] lines = text.Split('\n');
        foreach (var problem in problems)
        {
            problem.Span.Line.ShouldBeInRange(1, lines.Length);
            problem.Span.Column.ShouldBeInRange(1, lines[problem.Span.Line - 1].Length + 1);
        }
    }

    [Theory]
    [MemberData(nameof(Invalid))]
    public void A_wrong_recipe_is_refused_by_the_schema_as_far_as_it_sees(string name)
    {
        var (text, _, seen) = RecipeCorpus.Invalid[name];
        if (seen == SeenBy.Yaml)
        {
            Should.Throw<YamlException>(() => YamlJson.Convert(text));
            return;
        }

        JsonSchemaValidator.Check(Schema, YamlJson.Convert(text)).Any().ShouldBe(seen == SeenBy.Schema);
    }

    [Fact]
    public void The_corpus_is_large_and_touches_every_key_and_every_code_of_a_recipe()
    {
        RecipeCorpus.Valid.Count.ShouldBeGreaterThanOrEqualTo(25);
        RecipeCorpus.Invalid.Count.ShouldBeGreaterThanOrEqualTo(40);
        string all = string.Concat(RecipeCorpus.Valid.Values);
        Schema["properties"]!.AsObject().Select(property => property.Key).Where(key => !all.Contains(key + ":", StringComparison.Ordinal)).ShouldBeEmpty();
        Enum.GetValues<SeenBy>().ShouldBeSubsetOf(RecipeCorpus.Invalid.Values.Select(item => item.Seen));
    }

    [Fact]
    public void Every_default_that_the_schema_names_is_a_value_that_it_accepts()
    {
        var settings = Objects(Schema).Where(item => item.ContainsKey("default")).ToList();
        settings.Count.ShouldBeGreaterThan(50);
        foreach (var setting in settings)
        {
            JsonSchemaValidator.Check(setting, setting["default"]).ShouldBeEmpty(setting.ToJsonString());
        }
    }

    [Fact]
    public void A_keyword_that_the_validator_does_not_know_is_no_silent_yes() =>
        Should.Throw<NotSupportedException>(() => JsonSchemaValidator.Check(JsonNode.Parse("""{ "format": "date" }""")!, "x"));

    private static IEnumerable<JsonObject> Objects(JsonNode? node) => node switch
    {
        JsonObject map => map.SelectMany(member => Objects(member.Value)).Prepend(map),
        JsonArray list => list.SelectMany(Objects),
        _ => [],
    };

    private static List<RecipeDiagnostic> Compile(string text)
    {
        var parsed = RecipeParser.Parse(text, "r.yaml");
        var problems = parsed.Diagnostics.ToList();
        var known = new[] { parsed, RecipeParser.Parse(Base, "base.yaml") }.Where(recipe => recipe.Draft.Name is not null).ToDictionary(recipe => recipe.Draft.Name!);
        if (!parsed.HasErrors && new RecipeBinder(known, allowOutsidePaths: false).Bind(parsed, problems.Add) is { } recipe && problems.Count == 0)
        {
            RecipeResolver.Resolve(recipe, Layers, problems.Add);
        }

        return [.. problems.Where(problem => problem.Severity == Severity.Error)];
    }

    private static LayerCandidate Layer(string path, LayerKinds kind, long rows, long columns) => new(path, kind.ToString(), kind, new(kind, rows, columns));
}
