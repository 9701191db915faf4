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
        whole.Fields.Keys.ShouldContain("parts");
        whole.Fields.Keys.ShouldContain("shared");
        whole.Fields.Keys.ShouldNotContain("Never");
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
    public void A_recipe_is_written_where_it_belongs_and_what_comes_next_is_said()
    {
        string project = Project();
        Directory.CreateDirectory(folder["recipes"]);

        string[] said = Cli.Succeed("init", project, "--goal", "size", "--model", "Whole").Lines;
        said[0].ShouldEndWith($"small.recipe.yaml: {Space}Whole from model.safetensors");
        said[1].ShouldBe($"look it over, see what it would do with 'pipeline plan {project}', and build it with 'pipeline run {project}'");
        File.ReadAllText(folder["recipes/small.recipe.yaml"]).ShouldContain($"model: {Space}Whole\nweights: model.safetensors\n");

        Cli.Fail("PDSL3012", "init", project, "--goal", "size", "--model", "Whole");
        var json = Cli.Succeed("init", project, "--goal", "size", "--model", "Inside", "--force", "--json").Json;
        json.GetProperty("model").GetString().ShouldBe(Space + "Outer.Inside");
        json.GetProperty("file").GetString().ShouldBe(folder["recipes/small.recipe.yaml"]);
    }

    [Fact]
    public void A_project_without_the_package_is_told_to_add_it()
    {
        var result = Cli.Run("init", Project(package: ""), "--goal", "size", "--model", "Whole");

        result.ExitCode.ShouldBe(ExitCodes.Fine);
        result.Errors.ShouldContain("warning PDSL2006: ");
        result.Lines[1].ShouldBe("look it over, and add the package PipelineDsl to the project before you build it");
    }

    [Fact]
    public void Models_that_are_not_one_are_told_apart()
    {
        string project = Project();

        Cli.Fail("PDSL2006", "init", project, "--goal", "size").ShouldContain($"the weights 'model.safetensors' fit '{Space}Outer.Inside', '{Space}Whole' equally well by the names of their tensors; give --model");
        Cli.Fail("PDSL1013", "init", project, "--goal", "size", "--model", "Whol").ShouldContain("did you mean 'Whole'?");
        Cli.Fail("PDSL1013", "init", project, "--goal", "size", "--model", "Transformer").ShouldContain($"; there are '{Space}Outer.Inside', ");
        Cli.Fail("PDSL0002", "init", project, "--goal", "size", "--model", "NeedsArguments").ShouldContain("with a constructor that needs no arguments");
        folder.Write("other.safetensors", File.ReadAllBytes(folder["model.safetensors"]));
        Cli.Fail("PDSL2006", "init", project, "--goal", "size", "--model", "Whole").ShouldContain("--weights must be given, because there is more than one choice: model.safetensors, other.safetensors");
        Cli.Fail("PDSL2006", "init", project, "--goal", "size").ShouldContain($"--model must be given, because there is more than one choice: {Space}Outer.Inside, {Space}Whole");
        Directory.GetFiles(folder.Path, "*.yaml", SearchOption.AllDirectories).ShouldBeEmpty();
    }

    /// <summary>A model is a tree of members, and so are the names of its tensors.</summary>
    [Theory]
    [InlineData("parts.0.shared.weight", "Whole")]
    [InlineData("shared.weight;parts.1.shared.bias", "Whole")]
    [InlineData("parts.0.other.weight", "")]
    [InlineData("transformer.h.0.weight", "")]
    public void Weights_that_are_named_choose_the_model_that_they_fit(string names, string model)
    {
        string project = Project();
        folder.Write("own.safetensors", Tensors.File(null, [.. names.Split(';').Select(name => Tensors.Of(name, "F32", [8, 8], new float[64]))]));

        string[] arguments = ["init", project, "--goal", "size", "--weights", "own.safetensors"];
        if (model.Length > 0)
        {
            Cli.Succeed(arguments).Lines[0].ShouldEndWith($"small.recipe.yaml: {Space}{model} from own.safetensors");
        }
        else
        {
            Cli.Fail("PDSL2006", arguments).ShouldContain($"the weights 'own.safetensors' fit none of '{Space}Outer.Inside', '{Space}Whole': no tensor, such as '{names}', is named after its members; give --model, or name other weights");
        }
    }

    [Fact]
    public void Weights_and_data_that_are_not_there_are_asked_for()
    {
        string project = Project();

        Cli.Fail("PDSL2006", "init", project, "--goal", "finetune", "--model", "Whole").ShouldContain("there is nothing to train on");
        Cli.Fail("PDSL1015", "init", project, "--goal", "size", "--model", "Whole", "--data", "nothing.txt");
        File.Delete(folder["model.safetensors"]);
        folder.Write("data/test.safetensors", Tensors.File(null, Tensors.Of("input", "F32", [1, 2], 1f, 2f), Tensors.Of("target", "I64", [1], 1L)));
        Cli.Fail("PDSL1015", "init", project, "--goal", "size", "--model", "Whole").ShouldContain("the project holds no weights; put a .safetensors file");
        folder.Write("model.pt", "");
        Cli.Fail("PDSL1015", "init", project, "--goal", "size", "--model", "Whole").ShouldContain("'model.pt' is a pickle");
    }

    [Fact]
    public void A_project_that_does_not_compile_says_why()
    {
        var result = Cli.Run("init", Project(compile: """<Error Code="CS1001" File="Mlp.cs" Text="Identifier expected" />"""), "--goal", "size");

        result.ExitCode.ShouldBe(ExitCodes.Diagnosed);
        result.Errors.ShouldContain("Mlp.cs : error CS1001: Identifier expected\n");
        result.Errors.ShouldContain("error PDSL2006: 'App.proj' does not compile, so its models cannot be seen; correct that first");
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

    /// <summary>A project with weights whose compiled assembly is this one.</summary>
    private string Project(string package = "host.dll", string compile = "")
    {
        string assembly = typeof(InitTests).Assembly.Location;
        folder.Write("model.safetensors", Tensors.File(null, Tensors.Of("shared.weight", "F32", [8, 8], new float[64])));
        return folder.Write("App.proj", $"""
            <Project>
              <PropertyGroup>
                <IntermediateOutputPath>{Path.GetDirectoryName(assembly)}/</IntermediateOutputPath>
                <TargetDir>$(IntermediateOutputPath)</TargetDir>
                <TargetFileName>{Path.GetFileName(assembly)}</TargetFileName>
                <TargetPath>{assembly}</TargetPath>
                <PipelineDslHostPath>{package}</PipelineDslHostPath>
              </PropertyGroup>
              <Target Name="Restore" />
              <Target Name="Compile">{compile}</Target>
            </Project>
            """);
    }
}
