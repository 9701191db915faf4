using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using PipelineDsl.Generators.Diagnostics;

namespace PipelineDsl.Generators.Tests;

public sealed class DiagnosticsTests
{
    [Theory]
    [InlineData("rank: 8", "rank: 96", "tiny.recipe.yaml(7,20) PDSL1009: rank 96 exceeds min(in=64, out=64); use at most 64 (layer 'model.layers.*.q_proj')")]
    [InlineData("rank: 8", "rank: 0", "tiny.recipe.yaml(7,20) PDSL1004: 'rank' is 0; it must be at least 1")]
    [InlineData("rank: 8", "rnak: 8", "tiny.recipe.yaml(7,14) PDSL1002: 'corda' has no 'rnak'; did you mean 'rank'?")]
    [InlineData("corda:", "crda:", "tiny.recipe.yaml(7,5) PDSL1003: there is no step 'crda'; did you mean 'corda'?")]
    [InlineData("groupSize: 16", "groupSize: 100", "tiny.recipe.yaml(8,37) PDSL1011: a group of 100 is longer than a row of 64; use at most 64 or say 'granularity: channel' (layer 'model.layers.*.q_proj')")]
    [InlineData("**.mlp.*", "model.layers.*.mlp.upp", "tiny.recipe.yaml(9,12) PDSL1012: 'model.layers.*.mlp.upp' matches no member of the model; did you mean 'model.layers.*.mlp.up'?")]
    [InlineData("**.mlp.*", "model.norm", "tiny.recipe.yaml(9,12) PDSL0001: 'quantize' works on Linear, Embedding and Conv2d only, and 'model.norm' matches 'model.norm' (LayerNorm); name a layer that has a weight of that kind")]
    [InlineData("**.mlp.*", "**.q_proj", "tiny.recipe.yaml(10,5) PDSL1008: 'model.layers.*.q_proj' gets 'quantize' here and 'quantize' on line 8, which exclude each other; narrow one of the patterns or add 'keep'")]
    [InlineData("model: Stories.StoryLlama", "model: Stories.StoryLama", "tiny.recipe.yaml(2,8) PDSL1013: there is no model 'Stories.StoryLama' in the project; did you mean 'Stories.StoryLlama'?")]
    [InlineData("model: Stories.StoryLlama", "model: StoryLlama", "tiny.recipe.yaml(2,8) PDSL1013: there is no model 'StoryLlama' in the project; did you mean 'Stories.StoryLlama'?")]
    [InlineData("weights: weights/", "weights: ../weights/", "tiny.recipe.yaml(3,10) PDSL1018: '../weights/stories.safetensors' leaves the project, from whose folder paths are read, wherever the recipe lies; name a file inside it, or set the property PipelineDslAllowOutsidePaths to true")]
    [InlineData("weights: weights/stories.safetensors", "weights: { file: x }", "tiny.recipe.yaml(3,10) PDSL1001: 'weights' is a mapping; write one text")]
    [InlineData("rank: 8", "rank: 8, rank: 9", "tiny.recipe.yaml(7,23) PDSL1006: 'rank' stands here again, after line 7; keep one of them")]
    [InlineData("rank: 8", "rank: 8, keepRatio: 0.5", "tiny.recipe.yaml(7,34) PDSL1007: 'rank' and 'keepRatio' both choose the rank; keep one of them (layer 'model.layers.*.q_proj')")]
    [InlineData("rank: 8, ", "", "tiny.recipe.yaml(7,5) PDSL1005: no rank is chosen; add 'rank' or 'keepRatio'")]
    [InlineData("steps:", "extends: other\nsteps:", "tiny.recipe.yaml(5,10) PDSL1016: there is no recipe 'other' to extend")]
    [InlineData("steps:", "extends: tiny\nsteps:", "tiny.recipe.yaml(5,10) PDSL1016: recipes extend each other in a circle: tiny → tiny; let one of them stand alone")]
    [InlineData("evaluate: {", "evaluate: { {", "tiny.recipe.yaml(11,13) PDSL1001: a key is a mapping; write a name")]
    [InlineData("evaluate: {", "evaluate: [", "tiny.recipe.yaml(11,52) PDSL1001: this is not YAML: ")]
    public void A_broken_recipe_is_one_error_and_the_code_that_uses_it_still_compiles(string right, string wrong, string expected)
    {
        var result = EmissionTests.Tiny().Recipe("tiny.recipe.yaml", Models.Tiny.Replace(right, wrong)).Run();
        result.Diagnostics.ShouldHaveSingleItem().ShouldStartWith(expected);
        result.CompilerProblems.ShouldBeEmpty();
        result.File("Stories.TinyPipeline.g.cs").ShouldNotContain("PipelineEntry");
    }

    [Theory]
    [InlineData("", "PDSL1001: the recipe is empty")]
    [InlineData("recipe: tiny\nweights: w\nsteps:\n  - match: lm_head\n    quantize:\n", "PDSL1005: the recipe has no 'model'")]
    [InlineData("recipe: tiny\nmodel: Quite.Another\nweights: w\nsteps:\n  - match: lm_head\n    quantize:\n", "PDSL1013: there is no model 'Quite.Another'")]
    public void A_recipe_without_a_model_is_one_error_and_the_code_that_loads_it_compiles(string text, string expected)
    {
        var result = EmissionTests.Tiny().Recipe("tiny.recipe.yaml", text).Run();
        result.Diagnostics.ShouldHaveSingleItem().ShouldContain(expected);
        result.CompilerProblems.ShouldBeEmpty();
        result.File("Stories.TinyPipeline.g.cs").ShouldNotContain("PipelineEntry");
    }

    [Fact]
    public void A_recipe_without_a_model_means_the_model_of_the_others_and_none_where_that_is_open()
    {
        var run = EmissionTests.Tiny().Source("Mlp.cs", Models.Mlp).Recipe("tiny.recipe.yaml", "").Recipe("other.recipe.yaml", Models.Tiny.Replace("recipe: tiny", "recipe: other"));
        run.Run().Files.Keys.ShouldNotContain("Stories.TinyPipeline.g.cs");
        run.Source("Mlp.cs", "namespace Digits;").Run().Files.Keys.ShouldContain("Stories.TinyPipeline.g.cs");
    }

    [Fact]
    public void A_stub_keeps_the_shape_of_the_pipeline() =>
        Snapshot.Check(EmissionTests.Tiny().Recipe("tiny.recipe.yaml", Models.Tiny.Replace("rank: 8", "rank: 96")).Run().File("Stories.TinyPipeline.g.cs"));

    [Theory]
    [InlineData("Rank = 16", "Rank = 200", "Mlp.cs(14,23) PDSL1009: rank 200 exceeds min(in=64, out=128); use at most 64 (layer 'fc1')")]
    [InlineData("Bits = 8", "Bits = 9", "Mlp.cs(15,22) PDSL1004: 'bits' is 9; it must be from 2 to 8")]
    [InlineData("[Quantize(Bits = 8)]", "[Decompose(Rank = 3)]", "Mlp.cs(15,6) PDSL1008: 'fc1' gets 'decompose' here and 'decompose' on line 14, which exclude each other; narrow one of the patterns or add 'keep'")]
    [InlineData("small-mlp", "small mlp", "Mlp.cs(9,9) PDSL1004: the recipe's name is 'small mlp'; use letters, digits, '-' and '_', at most 100 of them")]
    [InlineData("Weights = \"weights/mlp.safetensors\", ", "", "Mlp.cs(9,2) PDSL1005: the recipe has no weights; add Weights = \"<file>\" with a safetensors file or folder")]
    [InlineData("weights/mlp.safetensors", "/weights/mlp.safetensors", "Mlp.cs(9,32) PDSL1018: '/weights/mlp.safetensors' leaves the project, from whose folder paths are read, wherever the recipe lies; name a file inside it, or set the property PipelineDslAllowOutsidePaths to true")]
    [InlineData("Samples = 32", "Samples = -1", "Mlp.cs(10,49) PDSL1004: 'samples' is -1; it must be at least 0")]
    [InlineData("[Calibrate(\"data/digits.safetensors\", Samples = 32)]", "", "Mlp.cs(14,6) PDSL1005: 'decompose' learns from calibration data and the recipe names none; add 'calibrate' with the data to use")]
    [InlineData("public Mlp()", "public Mlp(int width)", "Mlp.cs(12,14) PDSL0002: 'Digits.Mlp' is the model of recipe 'small-mlp' and cannot be created: no constructor can be called without arguments; add one, or give every parameter a default value")]
    [InlineData("public class Mlp", "public abstract class Mlp", "Mlp.cs(12,23) PDSL0002: 'Digits.Mlp' is the model of recipe 'small-mlp' and cannot be created: it is abstract; use a class that can be created")]
    [InlineData("public Mlp()", "[Quantize] private readonly LayerNorm norm = LayerNorm(3); public Mlp()", "Mlp.cs(19,6) PDSL0001: 'quantize' works on Linear, Embedding and Conv2d only, and 'norm' matches 'norm' (LayerNorm); name a layer that has a weight of that kind")]
    [InlineData("public Mlp()", "[Quantize] public int Width { get; }\npublic Mlp()", "Mlp.cs(19,6) PDSL0001: 'quantize' stands on 'Width', which is no module but 'int'; put it on a layer")]
    public void A_broken_attribute_is_one_error_at_its_place(string right, string wrong, string expected)
    {
        var result = new GeneratorRun().Source("Mlp.cs", Models.Mlp.Replace(right, wrong)).Run();
        result.Diagnostics.ShouldBe([expected]);
        result.CompilerProblems.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("Budget = \"60 %%\"", "Mlp.cs(9,31) PDSL1004: 'budget' is '60 %%'; write a size")]
    [InlineData("Budget = \"60%\"", "Mlp.cs(9,31) PDSL1007: the budget '60%' has nothing left to choose")]
    [InlineData("Allocate = AllocationMethod.Uniform", "Mlp.cs(9,33) PDSL1005: 'allocate' says how a budget is spent and the recipe has none")]
    public void A_budget_in_attributes_is_checked_at_its_place(string setting, string expected) =>
        new GeneratorRun().Source("Mlp.cs", Models.Mlp.Replace("[Recipe(\"small-mlp\", ", $"[Recipe(\"small-mlp\", {setting}, ")).Run()
            .Diagnostics.ShouldHaveSingleItem().ShouldStartWith(expected);

    [Fact]
    public void A_budget_is_emitted_and_leaves_a_rank_open()
    {
        string model = Models.Mlp.Replace("[Recipe(\"small-mlp\", ", "[Recipe(\"small-mlp\", Budget = \"600 KB\", Allocate = AllocationMethod.Farms, ").Replace("Rank = 16, ", "");
        var result = new GeneratorRun().Source("Mlp.cs", model).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        string.Concat(result.Files.Values).ShouldContain("Budget = new(614400D, global::PipelineDsl.Recipes.BudgetUnit.Bytes, \"600 KB\", ");
    }

    [Fact]
    public void A_budget_in_attributes_chooses_bits_that_are_not_written_and_no_others()
    {
        string budgeted = Models.Mlp.Replace("[Recipe(\"small-mlp\", ", "[Recipe(\"small-mlp\", Budget = \"600 KB\", ");
        var result = new GeneratorRun().Source("Mlp.cs", budgeted.Replace("Bits = 4, GroupSize = 16", "GroupSize = 16")).Run();
        result.Diagnostics.ShouldBeEmpty();
        string emitted = string.Concat(result.Files.Values);
        emitted.ShouldContain("new global::PipelineDsl.Quantize { GroupSize = 16 }");
        emitted.ShouldContain("new global::PipelineDsl.Quantize { Bits = 8 }");
        new GeneratorRun().Source("Mlp.cs", budgeted).Run().Diagnostics.ShouldHaveSingleItem().ShouldContain("has nothing left to choose");
    }

    [Fact]
    public void Exports_are_emitted_by_name_and_unknown_flags_refused()
    {
        string model = Models.Mlp.Replace("[Recipe(\"small-mlp\", ", "[Recipe(\"small-mlp\", Export = ExportFormats.Gptq | ExportFormats.Gguf, ");
        var result = new GeneratorRun().Source("Mlp.cs", model).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        string.Concat(result.Files.Values).ShouldContain("Export = global::PipelineDsl.ExportFormats.Gptq | global::PipelineDsl.ExportFormats.Gguf,");
        new GeneratorRun().Source("Mlp.cs", model.Replace("ExportFormats.Gguf", "(ExportFormats)64")).Run()
            .Diagnostics.ShouldHaveSingleItem().ShouldStartWith("Mlp.cs(9,31) PDSL1004: 'export' is 65; it must be one of none, gptq");
    }

    [Fact]
    public void Two_recipes_of_one_name_are_an_error_that_names_the_other_place()
    {
        var result = EmissionTests.Tiny().Recipe("z.recipe.yaml", Models.Tiny).Source("Mlp.cs", Models.Mlp.Replace("small-mlp", "TINY")).Run();
        result.Diagnostics.ShouldBe([
            "tiny.recipe.yaml(1,9) PDSL1014: there is a recipe 'tiny' already (as 'TINY', which makes the same class name), at Mlp.cs(9,9); give one of them another name",
            "z.recipe.yaml(1,9) PDSL1014: there is a recipe 'tiny' already (as 'TINY', which makes the same class name), at Mlp.cs(9,9); give one of them another name"]);
    }

    [Fact]
    public void A_recipe_may_extend_attributes_and_says_which_layers_it_overrides()
    {
        const string smaller = "recipe: smaller\nextends: small-mlp\nsteps:\n  - match: fc1\n    quantize: { bits: 3 }\n";
        var result = new GeneratorRun().Source("Mlp.cs", Models.Mlp).Recipe("smaller.recipe.yaml", smaller).Run();
        result.Diagnostics.ShouldBe(["smaller.recipe.yaml(4,12) PDSL1017: 'fc1' follows this rule instead of the one in Mlp.cs on line 14"]);
        result.Raw.Diagnostics.Single().Severity.ShouldBe(DiagnosticSeverity.Info);
        result.File("Digits.SmallerPipeline.g.cs").ShouldContain("Written.Rule(\"fc1\", 1, ");
    }

    [Fact]
    public void A_recipe_on_a_broken_one_adds_no_error_of_its_own()
    {
        var result = EmissionTests.Tiny()
            .Recipe("tiny.recipe.yaml", Models.Tiny.Replace("rank: 8", "rank: 0"))
            .Recipe("more.recipe.yaml", "recipe: more\nextends: tiny\nseed: 3\n")
            .Source("More.cs", "class More { object Load() => Stories.StoryLlama.LoadMore(); }").Run();
        result.Diagnostics.ShouldHaveSingleItem().ShouldContain("PDSL1004");
        result.CompilerProblems.ShouldBeEmpty();
    }

    [Fact]
    public void Steps_that_no_recipe_reads_are_a_warning()
    {
        string model = System.Text.RegularExpressions.Regex.Replace(Models.Mlp, @"\[(Recipe|Calibrate|Evaluate)\(.*\)\]\n", "");
        new GeneratorRun().Source("Mlp.cs", model).Run().Diagnostics.ShouldBe(["Mlp.cs(11,6) PDSL0003: no recipe reads the steps of 'Digits.Mlp'; put [Recipe] on it or on a model that holds it, or drop them"]);
    }

    [Fact]
    public void Paths_outside_the_project_are_allowed_on_request()
    {
        var result = new GeneratorRun(LanguageVersion.Preview, ("build_property.PipelineDslAllowOutsidePaths", "true"))
            .Source("StoryLlama.cs", Models.Llama).Recipe("tiny.recipe.yaml", Models.Tiny.Replace("weights: weights/", "weights: ../weights/")).Run();
        result.Diagnostics.ShouldBeEmpty();
    }

    [Fact]
    public void A_rank_that_saves_nothing_is_a_warning_and_the_pipeline_stands()
    {
        var result = EmissionTests.Tiny().Recipe("tiny.recipe.yaml", Models.Tiny.Replace("rank: 8", "rank: 32")).Run();
        result.Raw.Diagnostics.ShouldHaveSingleItem().Severity.ShouldBe(DiagnosticSeverity.Warning);
        result.File("Stories.TinyPipeline.g.cs").ShouldContain("PipelineEntry");
    }

    [Fact]
    public void Every_descriptor_has_a_help_page_and_a_line_in_the_release_file()
    {
        string release = File.ReadAllText(Path.Combine(RepositoryRoot(), "Generators", "AnalyzerReleases.Unshipped.md"));
        foreach (var descriptor in DiagnosticDescriptors.All)
        {
            descriptor.HelpLinkUri.ShouldEndWith($"/docs/{descriptor.Id}.md");
            release.ShouldContain($"{descriptor.Id} | {descriptor.Category} | {descriptor.DefaultSeverity} | ");
        }
    }

    internal static string RepositoryRoot([System.Runtime.CompilerServices.CallerFilePath] string file = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "..", ".."));
}
