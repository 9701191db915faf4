using PipelineDsl.Generators.Emit;
using PipelineDsl.Generators.Models;

namespace PipelineDsl.Generators.Tests;

public sealed class NamingTests
{
    [Theory]
    [InlineData("q_proj", "QProj")]
    [InlineData("small-mlp", "SmallMlp")]
    [InlineData("4bit", "4bit")]
    [InlineData("<Head>k__BackingField", "Head")]
    [InlineData("a.b c", "ABC")]
    [InlineData("__", "_")]
    public void A_name_is_spelled_as_CSharp_spells_it(string name, string expected) => Identifiers.Pascal(name).ShouldBe(expected);

    [Fact]
    public void Names_that_are_taken_get_an_underscore()
    {
        var used = new HashSet<string>();
        string[] names = ["layers", "Layers", "equals", "model", "0", "q_proj", "qProj"];
        names.Select(name => Identifiers.Member(name, "Model", used)).ShouldBe(["Layers", "Layers_", "Equals_", "Model_", "_0", "QProj", "QProj_"]);
    }

    [Theory]
    [InlineData("/src/app", "/src/app/models/M.cs", "models/M.cs")]
    [InlineData("/src/app/", "/src/shared/M.cs", "../shared/M.cs")]
    [InlineData("C:\\work\\app\\", "C:\\work\\app\\a\\M.cs", "a/M.cs")]
    [InlineData("C:\\work\\app\\", "D:\\M.cs", "M.cs")]
    [InlineData("", "/src/app/M.cs", "M.cs")]
    [InlineData("/src/app", "M.cs", "M.cs")]
    public void Paths_in_generated_code_start_at_the_project(string directory, string path, string expected) =>
        new ProjectOptions(directory.Replace('\\', '/').TrimEnd('/') is { Length: > 0 } folder ? folder + "/" : "", false).Relative(path).ShouldBe(expected);

    [Fact]
    public void Models_of_one_name_in_one_namespace_get_constants_of_different_names()
    {
        const string body = "() : Module<Tensor, Tensor>(\"M\") { Linear equals = Linear(3, 4); Linear m = Linear(3, 4); public override Tensor forward(Tensor x) => m.call(equals.call(x)); } }";
        string source = $"using TorchSharp.Modules; using static TorchSharp.torch; using static TorchSharp.torch.nn;\npublic class A {{ public class M{body} public class B {{ public class M{body}";
        var result = new GeneratorRun().Source("M.cs", source)
            .Recipe("a.recipe.yaml", "recipe: a\nmodel: A.M\nweights: w\nsteps:\n  - match: m\n    quantize:\n")
            .Recipe("b.recipe.yaml", "recipe: 2b\nmodel: B.M\nweights: w\nsteps:\n  - match: m\n    quantize:\n").Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        result.Files.Keys.ShouldBe(["APipeline.g.cs", "_2bPipeline.g.cs", "MLayers.g.cs", "BMLayers.g.cs"], ignoreOrder: true);
    }
}
