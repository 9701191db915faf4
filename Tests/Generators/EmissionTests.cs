using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace PipelineDsl.Generators.Tests;

public sealed class EmissionTests
{
    [Fact]
    public void A_yaml_recipe_becomes_a_pipeline()
    {
        var result = Tiny().Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        Snapshot.Check(result.File("Stories.TinyPipeline.g.cs"));
    }

    [Fact]
    public void A_model_gets_constants_for_its_layer_paths() => Snapshot.Check(Tiny().Run().File("Stories.StoryLlamaLayers.g.cs"));

    [Fact]
    public void An_attribute_recipe_becomes_a_pipeline_with_an_extension_block()
    {
        var result = new GeneratorRun().Source("Mlp.cs", Models.Mlp).Source("Use.cs", "using Digits; class Use { static Mlp Load() => Mlp.LoadSmallMlp(\"x\"); }").Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        Snapshot.Check(result.File("Digits.SmallMlpPipeline.g.cs"));
    }

    [Fact]
    public void Before_CSharp_14_a_model_that_is_not_partial_gets_no_loader_of_its_own()
    {
        var result = new GeneratorRun(LanguageVersion.CSharp13).Source("Mlp.cs", Models.Mlp).Source("Use.cs", "class Use { static Digits.Mlp Load() => Digits.SmallMlpPipeline.Load(); }").Run();
        result.CompilerProblems.ShouldBeEmpty();
        result.File("Digits.SmallMlpPipeline.g.cs").ShouldNotContain("extension(");
    }

    [Fact]
    public void Two_runs_give_the_same_bytes() => Tiny().Run().Files.ShouldBe(Tiny().Run().Files);

    [Fact]
    public void Generated_code_names_no_machine() => Tiny().Run().Files.Values.ShouldAllBe(text => !text.Contains("/project", StringComparison.Ordinal));

    [Fact]
    public void The_emitted_recipe_is_the_one_that_was_written()
    {
        using var image = new MemoryStream();
        Tiny().Run().Output.Emit(image).Success.ShouldBeTrue();
        var type = System.Reflection.Assembly.Load(image.ToArray()).GetType("Stories.TinyPipeline").ShouldNotBeNull();
        var recipe = ((Runtime.IModelPipeline)Activator.CreateInstance(type)!).Recipe;
        var parsed = Recipes.Parsing.RecipeParser.Parse(Models.Tiny.ReplaceLineEndings("\n"), "tiny.recipe.yaml");
        var bound = new Recipes.RecipeBinder(new Dictionary<string, Recipes.ParsedRecipe>(), false).Bind(parsed, _ => { });
        recipe.ShouldBe(bound);
    }

    [Fact]
    public void The_emitted_training_is_the_one_that_was_written()
    {
        string training = Models.Tiny.ReplaceLineEndings("\n").Replace("damping: 0.02 }\n    quantize: { bits: 4, groupSize: 16 }", "use: adapter }") + "\ntrain: { data: data/train.jsonl, validation: data/held.jsonl, optimizer: lion, epochs: 2.5, warmUp: 3% }\n";
        using var image = new MemoryStream();
        new GeneratorRun().Source("StoryLlama.cs", Models.Llama).Recipe("tiny.recipe.yaml", training).Run().Output.Emit(image).Success.ShouldBeTrue();
        var recipe = ((Runtime.IModelPipeline)Activator.CreateInstance(System.Reflection.Assembly.Load(image.ToArray()).GetType("Stories.TinyPipeline")!)!).Recipe;
        recipe.Train.ShouldNotBeNull().Settings.WarmUp.ShouldBe(0.03);
        recipe.ShouldBe(new Recipes.RecipeBinder(new Dictionary<string, Recipes.ParsedRecipe>(), false).Bind(Recipes.Parsing.RecipeParser.Parse(training, "tiny.recipe.yaml"), _ => { }));
    }

    [Fact]
    public void The_emitted_analyses_are_those_that_were_written()
    {
        string analysed = Models.Tiny.ReplaceLineEndings("\n") + "\nanalyze:\n  talkingHeads: { query: \"**.q_proj\", output: \"**.k_proj\", heads: 2, edit: 0.1.0 }\n  intruderDimensions: { base: weights/before.safetensors, remain: 0.5 }\n";
        using var image = new MemoryStream();
        var result = new GeneratorRun().Source("StoryLlama.cs", Models.Llama).Recipe("tiny.recipe.yaml", analysed).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.Output.Emit(image).Success.ShouldBeTrue();
        var recipe = ((Runtime.IModelPipeline)Activator.CreateInstance(System.Reflection.Assembly.Load(image.ToArray()).GetType("Stories.TinyPipeline")!)!).Recipe;
        recipe.Analyze.Select(analysis => analysis.Analysis.GetType()).ShouldBe([typeof(IntruderDimensions), typeof(TalkingHeads)]);
        recipe.ShouldBe(new Recipes.RecipeBinder(new Dictionary<string, Recipes.ParsedRecipe>(), false).Bind(Recipes.Parsing.RecipeParser.Parse(analysed, "tiny.recipe.yaml"), _ => { }));
    }

    [Fact]
    public void An_analysis_in_an_attribute_is_read_with_its_places()
    {
        string source = Models.Mlp.Replace("[Calibrate(", "[IntruderDimensions(Remain = 0.5, TopK = 0), TalkingHeads(Query = \"nothing\", Output = \"**\", Heads = 2), Calibrate(", StringComparison.Ordinal);
        var problems = new GeneratorRun().Source("Mlp.cs", source).Run().Diagnostics;
        problems.Count.ShouldBe(2);
        problems.ShouldContain(problem => problem.Contains("PDSL1004: 'topK' is 0", StringComparison.Ordinal));
        problems.ShouldContain(problem => problem.Contains("PDSL1012: 'nothing' matches no member of the model", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Steps = 20, Momentum = 0.9", "'adamW' has no 'momentum'")]
    [InlineData("Steps = 20", "'train' has nothing to train")]
    public void A_training_in_attributes_is_read_with_its_places(string settings, string problem)
    {
        string source = Models.Mlp.Replace("[Calibrate(", $"[Train(\"data/train.txt\", {settings}), Calibrate(", StringComparison.Ordinal);
        new GeneratorRun().Source("Mlp.cs", source).Run().Diagnostics.ShouldHaveSingleItem().ShouldContain(problem);
    }

    [Fact]
    public void A_user_may_override_hooks_in_a_part_of_the_pipeline()
    {
        const string part = """
            namespace Stories;
            public sealed partial class TinyPipeline
            {
                public override TorchSharp.torch.Tensor Loss(StoryLlama model, PipelineDsl.Runtime.Data.Batch batch) => batch.LossOf(Run(model, batch));
            }
            """;
        Tiny().Source("TinyPipeline.cs", part).Run().CompilerProblems.ShouldBeEmpty();
    }

    [Fact]
    public void Equal_file_names_in_two_folders_do_not_clash()
    {
        var result = Tiny().Recipe("a/x.recipe.yaml", Models.Tiny.Replace("tiny", "one")).Recipe("b/x.recipe.yaml", Models.Tiny.Replace("tiny", "two")).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        result.Files.Keys.ShouldBe(["Stories.OnePipeline.g.cs", "Stories.StoryLlamaLayers.g.cs", "Stories.TinyPipeline.g.cs", "Stories.TwoPipeline.g.cs"], ignoreOrder: true);
    }

    internal static GeneratorRun Tiny() => new GeneratorRun()
        .Source("StoryLlama.cs", Models.Llama)
        .Source("Consumer.cs", Models.TinyConsumer)
        .Recipe("tiny.recipe.yaml", Models.Tiny);
}
