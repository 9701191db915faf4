using PipelineDsl.CodeFixes;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Tests;

/// <summary>A recipe goes from attributes into a file and back, and means the same all the way.</summary>
public sealed class MoveAndInlineTests
{
    private const string Schema = "# yaml-language-server: $schema=https://raw.githubusercontent.com/pipelinedsl/pipelinedsl/main/docs/recipe.schema.json\n";

    [Fact]
    public async Task Attributes_become_a_recipe_file()
    {
        using var run = new EditorRun().Source("Mlp.cs", Models.Mlp);
        await run.Apply((await run.Refactorings(new MoveToRecipe(), "Mlp.cs", "Recipe(")).Single());
        run.Text("small-mlp.recipe.yaml").ShouldBe(Schema + """
            version: 1
            recipe: small-mlp
            model: Digits.Mlp
            weights: weights/mlp.safetensors
            seed: 7
            calibrate: { data: data/digits.safetensors, samples: 32 }
            steps:
              - match: fc1
                decompose: { rank: 16, orientation: whitened }
                quantize: { bits: 8 }
              - match: fc2
                quantize: { bits: 4, groupSize: 16 }
            evaluate: { data: data/test.safetensors, maxRegression: 0.01, metric: accuracy }

            """.ReplaceLineEndings("\n"));
        run.Text("Mlp.cs").ShouldBe(Bare);
        (await run.Compile()).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_recipe_file_becomes_attributes()
    {
        using var run = new EditorRun().Source("Mlp.cs", Bare.Replace("using PipelineDsl;\n", "")).Recipe("recipes/r.recipe.yaml", """
            recipe: r
            model: Digits.Mlp
            weights: w.safetensors
            seed: 3
            budget: 60%
            calibrate: { data: c.safetensors }
            train: { data: "t \"new\".safetensors", epochs: 2, warmUp: 3%, packing: false }
            steps:
              - match: "fc{1,2}"
                quantize: { granularity: channel }
                decompose: { rank: 8 }
              - match: fc1
                lora: { rank: 4, start: uniform, dropout: 5% }
            export: [ gguf, gptq ]
            """);
        await run.Apply((await run.Refactorings(new InlineRecipe(), "recipes/r.recipe.yaml", "steps")).Single());
        run.Recipes.ShouldBeEmpty();
        run.Text("Mlp.cs").ShouldBe("using PipelineDsl;\n" + Bare.Replace("using PipelineDsl;\n", "")
            .Replace("public class", "[Recipe(\"r\", Weights = \"w.safetensors\", Budget = \"60%\", Export = ExportFormats.Gptq | ExportFormats.Gguf, Seed = 3)]\n[Calibrate(\"c.safetensors\")]\n[Train(\"t \\\"new\\\".safetensors\", Epochs = 2, WarmUp = 0.03, Packing = false)]\npublic class")
            .Replace("    private readonly Linear fc1;", "    [Quantize(Granularity = Granularity.Channel)]\n    [Decompose(Rank = 8)]\n    [Lora(Rank = 4, Start = LoraStart.Uniform, Dropout = 0.05)]\n    private readonly Linear fc1;")
            .Replace("    private readonly Linear fc2", "    [Quantize(Granularity = Granularity.Channel)]\n    [Decompose(Rank = 8)]\n    private readonly Linear fc2"));
        (await run.Compile()).ShouldBeEmpty();
    }

    /// <summary>Attributes, file, attributes: the bound recipe is one and the same.</summary>
    [Theory]
    [InlineData("", "")]
    [InlineData("Seed = 7", "Seed = -9, Tokenizer = \"tok/tokenizer.json\", Budget = \"2.5 bpw\", Allocate = AllocationMethod.Uniform, Export = ExportFormats.Gguf | ExportFormats.Gptq")]
    [InlineData("[Quantize(Bits = 8)]", "[Quantize(Symmetric = false), Lora(Rank = 4, Start = LoraStart.Uniform)]\n    // the first layer\n")]
    [InlineData("[Quantize(Bits = 4, GroupSize = 16)]", "[Keep]")]
    [InlineData("[Quantize(Bits = 4, GroupSize = 16)]", "/* why */ [Tlora(InputShape = \"8x16\", OutputShape = \"2x5\")]")]
    [InlineData("[Evaluate(\"data/test.safetensors\", Metric = Metric.Accuracy, MaxRegression = 0.01)]", "/// <summary>Digits.</summary>\n[IntruderDimensions(TopK = 5)]")]
    public async Task There_and_back_is_the_same_recipe(string before, string after)
    {
        string model = Models.Mlp.ReplaceLineEndings("\n");
        model = before.Length == 0 ? model : model.Replace(before, after);
        model = model.Contains("Budget") ? model.Replace("[Quantize(Bits = 8)]", "[Quantize]") : model;
        model = model.Contains("lora", StringComparison.OrdinalIgnoreCase) ? model.Replace("[Calibrate", "[Train(\"data/train.safetensors\", Epochs = 0.5, LearningRate = 1e-5)]\n[Calibrate") : model;
        using var run = new EditorRun().Source("Mlp.cs", model);
        var first = await Recipe(run, "small-mlp");
        await run.Apply((await run.Refactorings(new MoveToRecipe(), "Mlp.cs", "Mlp :")).Single());
        run.Recipes.ShouldBe(["small-mlp.recipe.yaml"]);
        run.Text("Mlp.cs").ShouldNotContain("[Recipe");
        var second = await Recipe(run, "small-mlp");
        second.WithoutPlaces().ShouldBe(first.WithoutPlaces());
        second.Span.Path.ShouldEndWith("small-mlp.recipe.yaml");
        await run.Apply((await run.Refactorings(new InlineRecipe(), "Mlp.cs", "Mlp :")).Single());
        run.Recipes.ShouldBeEmpty();
        var third = await Recipe(run, "small-mlp");
        third.WithoutPlaces().ShouldBe(first.WithoutPlaces());
        third.Span.Path.ShouldEndWith("Mlp.cs");
        (await run.Compile()).ShouldBeEmpty();
    }

    [Fact]
    public async Task Steps_on_a_class_that_two_models_share_stay_for_the_other()
    {
        string shared = "using PipelineDsl; using TorchSharp.Modules; using static TorchSharp.torch; using static TorchSharp.torch.nn;\nnamespace Two;\npublic class Head : Module<Tensor, Tensor> { [Quantize(Bits = 4)] private readonly Linear low = Linear(8, 8); public Head() : base(\"Head\") => RegisterComponents(); public override Tensor forward(Tensor x) => low.call(x); }\n";
        string Model(string name, string more) => $"using PipelineDsl; using TorchSharp.Modules; using static TorchSharp.torch; using static TorchSharp.torch.nn;\nnamespace Two;\n[Recipe(\"{name}\", Weights = \"w\")]\npublic class {name} : Module<Tensor, Tensor> {{ private readonly Head head = new(); {more} public {name}() : base(\"{name}\") => RegisterComponents(); public override Tensor forward(Tensor x) => head.call(x); }}\n";
        using var run = new EditorRun().Source("Head.cs", shared).Source("A.cs", Model("A", "")).Source("B.cs", Model("B", "[Quantize] private readonly Linear own = Linear(8, 8);"));
        await run.Apply((await run.Refactorings(new MoveToRecipe(), "B.cs", "Recipe(")).Single());
        run.Text("Head.cs").ShouldBe(shared);
        run.Text("B.cs").ShouldBe(Model("B", "private readonly Linear own = Linear(8, 8);").Replace("[Recipe(\"B\", Weights = \"w\")]\n", ""));
        run.Text("B.recipe.yaml").ShouldContain("  - match: head.low\n    quantize: { bits: 4 }\n  - match: own\n    quantize:\n");

        // Back is no way: the shared class has its steps already.
        (await run.Refactorings(new InlineRecipe(), "B.cs", "B :")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("match: \"model.layers.*.q_proj\"", 1)]
    [InlineData("match: \"model.layers.0.q_proj\"", 0)]
    [InlineData("match: model.layers.*.mlp.up", 0)]
    [InlineData("match: \"**.{q,k}_proj\"", 1)]
    public async Task Inlining_is_offered_only_where_attributes_can_say_the_same(string match, int offers)
    {
        using var run = new EditorRun().Source("StoryLlama.cs", Models.Llama).Recipe("tiny.recipe.yaml", $"recipe: tiny\nmodel: Stories.StoryLlama\nweights: w\nsteps:\n  - {match}\n    quantize:\n");
        (await run.Refactorings(new InlineRecipe(), "tiny.recipe.yaml", "recipe")).Count.ShouldBe(offers);
        (await run.Refactorings(new InlineRecipe(), "StoryLlama.cs", "StoryLlama :")).Count.ShouldBe(offers);
    }

    [Fact]
    public async Task Neither_is_offered_for_a_recipe_with_a_mistake_or_one_that_extends_another_or_elsewhere()
    {
        using var run = new EditorRun().Source("Mlp.cs", Models.Mlp.Replace("Rank = 16", "Rank = 65")).Source("StoryLlama.cs", Models.Llama)
            .Recipe("tiny.recipe.yaml", Models.Tiny).Recipe("top.recipe.yaml", "recipe: top\nextends: tiny\n").Recipe("wrong.recipe.yaml", "recipe: wrong\nmodel: Stories.StoryLlama\nweights: w\nsteps: 3\n");
        (await run.Refactorings(new MoveToRecipe(), "Mlp.cs", "Recipe(")).ShouldBeEmpty();
        (await run.Refactorings(new MoveToRecipe(), "StoryLlama.cs", "StoryLlama :")).ShouldBeEmpty();
        (await run.Refactorings(new InlineRecipe(), "top.recipe.yaml", "recipe")).ShouldBeEmpty();
        (await run.Refactorings(new InlineRecipe(), "wrong.recipe.yaml", "recipe")).ShouldBeEmpty();
        (await run.Refactorings(new InlineRecipe(), "StoryLlama.cs", "lm_head")).ShouldBeEmpty();
    }

    [Fact]
    public async Task The_file_goes_beside_the_others_and_names_their_schema()
    {
        using var run = new EditorRun().Source("Mlp.cs", Models.Mlp).Source("StoryLlama.cs", Models.Llama).Recipe("recipes/tiny.recipe.yaml", "# yaml-language-server: $schema=../here.json\n" + Models.Tiny);
        await run.Apply((await run.Refactorings(new MoveToRecipe(), "Mlp.cs", "Recipe(")).Single());
        run.Text("recipes/small-mlp.recipe.yaml").ShouldStartWith("# yaml-language-server: $schema=../here.json\nversion: 1\n");
    }

    [Fact]
    public async Task A_name_that_means_something_else_in_the_file_is_written_in_full()
    {
        using var run = new EditorRun().Source("Mlp.cs", Bare.Replace("namespace Digits;", "namespace Digits;\npublic enum Quantize { No }"))
            .Recipe("r.recipe.yaml", "recipe: r\nmodel: Digits.Mlp\nweights: w\nsteps:\n  - match: fc1\n    quantize:\n");
        await run.Apply((await run.Refactorings(new InlineRecipe(), "r.recipe.yaml", "recipe")).Single());
        run.Text("Mlp.cs").ShouldContain("    [global::PipelineDsl.Quantize]\n    private readonly Linear fc1;");
        (await run.Compile()).ShouldBeEmpty();
    }

    private static string Bare => Models.Mlp.ReplaceLineEndings("\n")
        .Replace("[Recipe(\"small-mlp\", Weights = \"weights/mlp.safetensors\", Seed = 7)]\n[Calibrate(\"data/digits.safetensors\", Samples = 32)]\n[Evaluate(\"data/test.safetensors\", Metric = Metric.Accuracy, MaxRegression = 0.01)]\n", "")
        .Replace("[Decompose(Rank = 16, Orientation = Orientation.Whitened)]\n    [Quantize(Bits = 8)]\n    ", "")
        .Replace("[Quantize(Bits = 4, GroupSize = 16)] ", "");

    private static async Task<Recipe> Recipe(EditorRun run, string name)
    {
        string? file = run.Recipes.Count == 0 ? null : "/project/" + run.Recipes[0];
        var recipes = await ProjectRecipes.ReadAsync(run.Project, file, CancellationToken.None);
        recipes!.Bound.Diagnostics.ShouldBeEmpty();
        return recipes.Bound.Pipelines.Single(pipeline => pipeline.RecipeName == name).Recipe!;
    }
}
