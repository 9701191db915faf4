using PipelineDsl.Cli.Projects;
using PipelineDsl.Cli.Recipes;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Parsing;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline init</c>, as far as it needs no build; <c>Tests/Build</c> writes a recipe into a real project and builds it.</summary>
public sealed class InitTests : IDisposable
{
    private const string Space = "PipelineDsl.Cli.Tests.Modules.";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Module_classes_are_found_in_metadata()
    {
        var classes = ModelScan.Of(typeof(Modules.Whole).Assembly.Location).ToDictionary(type => type.Name);

        classes.Keys.ShouldBe([Space + "Common", Space + "Generic`1", Space + "NeedsArguments", Space + "Outer.Hidden", Space + "Outer.Inside", Space + "Part", Space + "Whole"], ignoreOrder: true);
        classes.Values.Where(type => type.IsCreatable).Select(type => type.Name).ShouldBe([Space + "Outer.Inside", Space + "Part", Space + "Whole"], ignoreOrder: true);
        var whole = classes[Space + "Whole"];
        whole.Members.ShouldContain("parts");
        whole.Members.ShouldContain("shared");
        whole.Members.ShouldNotContain("Never");
        whole.Uses.ShouldContain(Space + "Part");
    }

    [Theory]
    [InlineData("Size")]
    [InlineData("Speed")]
    [InlineData("FineTune")]
    public void A_first_recipe_is_one_that_the_language_knows(string goal)
    {
        string weights = folder.Write("model.safetensors", Tensors.File(
            null,
            Tensors.Of("model.embed.weight", "F32", [4, 32], new float[128]),
            Tensors.Of("model.layers.0.up.weight", "F32", [4, 32], new float[128]),
            Tensors.Of("model.layers.1.up.weight", "F32", [4, 32], new float[128])));
        using var store = WeightStore.Open(weights);
        var recipe = FirstRecipe.For("first", "Demo.Mlp", "weights/model.safetensors", Enum.Parse<Goal>(goal), store) with { TrainingData = "data/a b.txt", HeldOutData = "data/test.txt", ReadsText = true };

        string text = recipe.ToString();
        text.ShouldStartWith("# yaml-language-server: $schema=https://");
        text.ShouldNotContain('\r');
        var parsed = RecipeParser.Parse(text, "first.recipe.yaml");
        parsed.Diagnostics.ShouldBeEmpty(text);
        text.ShouldContain(goal == "FineTune" ? "lora: { rank: 2, alpha: 4 }" : "groupSize: 32");
        text.ShouldContain(goal == "FineTune" ? "match: \"model.layers.**\"" : "match: \"**\"");
    }

    [Fact]
    public void Rows_that_no_group_divides_are_quantised_whole()
    {
        using var store = WeightStore.Open(folder.Write("model.safetensors", Tensors.File(null, Tensors.Of("fc.weight", "F32", [4, 9], new float[36]))));

        FirstRecipe.For("first", "Demo.Mlp", "model.safetensors", Goal.Speed, store).ToString().ShouldContain("granularity: channel");
    }

    [Fact]
    public void A_recipe_that_is_there_is_not_overwritten()
    {
        folder.Write("App.csproj", "<Project />");
        string file = folder.Write("recipes/small.recipe.yaml", "mine");

        Cli.Fail("PDSL3012", "init", folder.Path, "--goal", "size").ShouldContain("is there already; give the recipe another --name, or overwrite it with --force");
        File.ReadAllText(file).ShouldBe("mine");
    }

    [Fact]
    public void Mistakes_say_what_to_do()
    {
        Cli.Fail("PDSL2006", "init", folder.Path, "--goal", "size").ShouldContain("there is no project");
        folder.Write("App.csproj", "<Project />");
        Cli.Fail("PDSL2006", "init", folder.Path).ShouldContain("--goal must be given, because there is more than one choice: size, speed, finetune");
        Cli.Run("init", folder.Path, "--goal", "fame").ExitCode.ShouldBe(ExitCodes.Usage);
        Cli.Run("init", folder.Path, "--goal", "size", "--name", "a b").ExitCode.ShouldBe(ExitCodes.Usage);
    }

    [Fact]
    public void Files_that_a_recipe_can_name_are_told_apart()
    {
        folder.Write("App.csproj", "<Project />");
        foreach (string path in (string[])["weights/model.safetensors", "weights/tokenizer.json", "shards/model.safetensors.index.json", "shards/a.safetensors", "adapter/adapter_model.safetensors", "old/pytorch_model.bin", "data/stories.txt", "data/train.jsonl", "data/test.txt", "LICENSE.txt", "bin/x.safetensors", "obj/y.safetensors"])
        {
            folder.Write(path, "");
        }

        folder.Write("data/digits.safetensors", Tensors.File(null, Tensors.Of("input", "F32", [1, 2], 1f, 2f), Tensors.Of("target", "I64", [1], 1L)));
        folder.Write("data/test.safetensors", Tensors.File(null, Tensors.Of("target", "I64", [1], 1L), Tensors.Of("input", "F32", [1, 2], 1f, 2f)));

        var contents = ProjectContents.Of(folder["App.csproj"]);
        contents.Weights.ShouldBe(["shards", "weights/model.safetensors"]);
        contents.Pickles.ShouldBe(["old/pytorch_model.bin"]);
        contents.TrainingData.ShouldBe(["data/train.jsonl", "data/stories.txt", "data/digits.safetensors"]);
        contents.HeldOutData.ShouldBe(["data/test.txt", "data/test.safetensors"]);
        contents.HasTokenizer("weights/model.safetensors").ShouldBeTrue();
        contents.HasTokenizer("shards").ShouldBeFalse();
    }
}
