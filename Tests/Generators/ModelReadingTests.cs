using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;

namespace PipelineDsl.Generators.Tests;

public sealed class ModelReadingTests
{
    [Theory]
    [InlineData("Linear a = Linear(3, 4);", "a Linear Linear 4x3")]
    [InlineData("Linear a = Linear(outputSize: 4, inputSize: 3, hasBias: false);", "a Linear Linear 4x3")]
    [InlineData("Linear a = Linear(System.Environment.ProcessorCount, 4);", "a Linear Linear")]
    [InlineData("Linear? a;", "a Linear Linear")]
    [InlineData("Embedding a = Embedding(100, 8);", "a Embedding Embedding 100x8")]
    [InlineData("Conv2d a = Conv2d(4, 16, 3, groups: 2);", "a Conv2d Conv2d 16x18")]
    [InlineData("Conv2d a = Conv2d(4, 16, (3, 5));", "a Conv2d Conv2d 16x60")]
    [InlineData("Module<Tensor, Tensor> a = Linear(3, 4);", "a Linear Linear 4x3")]
    [InlineData("Module<Tensor, Tensor> a; public M() : this(1) => a = Linear(3, 4); public M(int x) : base(\"M\") { }", "a Linear Linear 4x3")]
    [InlineData("Module<Tensor, Tensor> a = null!;", "a Module<Tensor, Tensor> ?; a.** Module ?")]
    [InlineData("Module<Tensor, Tensor> a; public M(bool b = true) : base(\"M\") => a = b ? Linear(3, 4) : ReLU();", "a Module<Tensor, Tensor> ?; a.** Module ?")]
    [InlineData("LayerNorm a = LayerNorm(3);", "a LayerNorm None")]
    [InlineData("Linear A { get; } = Linear(3, 4);", "<A>k__BackingField Linear Linear 4x3")]
    [InlineData("[field: TorchSharp.Utils.ComponentName(Name = \"a\")] Linear A { get; } = Linear(3, 4);", "a Linear Linear 4x3")]
    [InlineData("[TorchSharp.Utils.ComponentName(Name = \"weird\")] Linear a = Linear(3, 4);", "weird Linear Linear 4x3")]
    [InlineData("Linear A => Linear(3, 4); static Linear b = Linear(3, 4); int c; Tensor d = zeros(1);", "")]
    [InlineData("ModuleList<Linear> a = new();", "a ModuleList<Linear> None; a.* Linear Linear")]
    [InlineData("ModuleList<Module<Tensor, Tensor>> a = new();", "a ModuleList<Module<Tensor, Tensor>> None; a.* Module<Tensor, Tensor> ?; a.*.** Module ?")]
    [InlineData("ModuleDict<Linear> a = new();", "a ModuleDict<Linear> None; a.** Module ?")]
    [InlineData("Sequential a = Sequential(Linear(3, 4), ReLU());", "a Sequential None; a.0 Linear Linear 4x3; a.1 ReLU None")]
    [InlineData("Module<Tensor, Tensor> a = Sequential((\"up\", Linear(3, 4)));", "a Sequential None; a.up Linear Linear 4x3")]
    [InlineData("Sequential a = Sequential(new System.Collections.Generic.List<Module<Tensor, Tensor>>());", "a Sequential None; a.** Module ?")]
    [InlineData("Inner a = new(); class Inner() : Module<Tensor, Tensor>(\"I\") { Linear b = Linear(3, 4); public override Tensor forward(Tensor x) => x; }", "a Inner None; a.b Linear Linear 4x3")]
    [InlineData("M a = null!;", "a M None; a.** Module ?")]
    public void Members_are_read_as_TorchSharp_registers_them(string body, string expected)
    {
        string source = $$"""
            using TorchSharp;
            using TorchSharp.Modules;
            using static TorchSharp.torch;
            using static TorchSharp.torch.nn;
            public class M {{(body.Contains(" M(", StringComparison.Ordinal) ? "" : "()")}} : Module<Tensor, Tensor>{{(body.Contains(" M(", StringComparison.Ordinal) ? "" : "(\"M\")")}}
            {
                {{body}}
                public override Tensor forward(Tensor x) => x;
            }
            """;
        Describe(source, "M").ShouldBe(expected);
    }

    [Fact]
    public void Fields_of_bases_are_registered_unless_private()
    {
        const string source = """
            using TorchSharp.Modules;
            using static TorchSharp.torch;
            using static TorchSharp.torch.nn;
            public abstract class B() : Module<Tensor, Tensor>("B")
            {
                private readonly Linear hidden = Linear(1, 2);
                protected readonly Linear shown = Linear(3, 4);
                public override Tensor forward(Tensor x) => hidden.call(x);
            }
            public class M : B { private readonly Linear own = Linear(5, 6); }
            """;
        Describe(source, "M").ShouldBe("own Linear Linear 6x5; shown Linear Linear 4x3");
    }

    [Fact]
    public void A_step_on_a_list_of_layers_is_meant_for_its_items()
    {
        var result = new GeneratorRun().Source("Mlp.cs", Models.Mlp.Replace("private readonly Linear fc1;", "private readonly ModuleList<Linear> fc1;").Replace("this.fc1 = Linear(64, 128);", "this.fc1 = new();").Replace("fc1.call(input)", "fc1[0].call(input)")).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.File("Digits.SmallMlpPipeline.g.cs").ShouldContain("Written.Rule(\"fc1.*\", 0, ");
    }

    [Fact]
    public void Rules_for_different_indices_do_not_contradict_each_other()
    {
        const string steps = "  - match: \"model.layers.0.q_proj\"\n    quantize:\n  - match: \"model.layers.1.q_proj\"\n    quantize: { bits: 3 }\n";
        var recipe = Models.Tiny.ReplaceLineEndings("\n").Split("calibrate:")[0] + "steps:\n" + steps;
        EmissionTests.Tiny().Recipe("tiny.recipe.yaml", recipe).Run().Diagnostics.ShouldBeEmpty();
        EmissionTests.Tiny().Recipe("tiny.recipe.yaml", recipe.Replace("layers.1", "layers.*")).Run().Diagnostics.ShouldHaveSingleItem().ShouldContain("PDSL1008: 'model.layers.0.q_proj' gets");
    }

    [Theory]
    [InlineData("public class Outer { private class M() : Module<Tensor, Tensor>(\"M\") { public override Tensor forward(Tensor x) => x; } }", "Outer.M", "code beside it cannot see it")]
    [InlineData("public class Outer<T> { public class M() : Module<Tensor, Tensor>(\"M\") { public override Tensor forward(Tensor x) => x; } }", "Outer.M", "it has type parameters")]
    [InlineData("public class M() : Module<Tensor, Tensor>(\"M\") { public required int X { get; set; } public override Tensor forward(Tensor x) => x; }", "M", "it has required members")]
    public void A_model_that_cannot_be_created_is_an_error_without_follow_on_errors(string source, string model, string part)
    {
        var result = new GeneratorRun().Source("M.cs", "using static TorchSharp.torch; using static TorchSharp.torch.nn;\n" + WithLayer(source)).Recipe("m.recipe.yaml", QuantizeLayer(model)).Run();
        result.Diagnostics.ShouldHaveSingleItem().ShouldContain("PDSL0002");
        result.Diagnostics[0].ShouldContain(part);
        result.CompilerProblems.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("public partial class Outer { public partial class", true)]
    [InlineData("public class Outer { public partial class", false)]
    [InlineData("internal partial record struct Outer { internal partial class", true)]
    public void A_nested_model_gets_its_loader_inside_or_as_an_extension(string head, bool inside)
    {
        string source = $"using static TorchSharp.torch; using static TorchSharp.torch.nn;\n{head} M() : Module<Tensor, Tensor>(\"M\") {{ public override Tensor forward(Tensor x) => x; }} }} class Use {{ object F() => Outer.M.LoadM(); }}";
        var result = new GeneratorRun().Source("M.cs", WithLayer(source)).Recipe("m.recipe.yaml", QuantizeLayer("Outer.M")).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.CompilerProblems.ShouldBeEmpty();
        result.File("MPipeline.g.cs").Contains("extension(global::Outer.M)").ShouldBe(!inside);
    }

    private static string WithLayer(string source) => source.Replace("public override Tensor forward", "public readonly TorchSharp.Modules.Linear a = Linear(3, 4); public override Tensor forward");

    private static string QuantizeLayer(string model) => $"recipe: m\nmodel: {model}\nweights: w\nsteps:\n  - match: a\n    quantize:\n";

    private static string Describe(string source, string model)
    {
        var run = new GeneratorRun().Source("M.cs", source).Recipe("m.recipe.yaml", $"recipe: m\nmodel: {model}\nweights: w\nsteps: []\n").Run();
        run.Diagnostics.ShouldHaveSingleItem().ShouldContain("PDSL1005: 'steps' is an empty list");
        var bound = (BoundProject)run.Raw.TrackedSteps[PipelineStepNames.BoundProject].Single().Outputs.Single().Value;
        return string.Join("; ", bound.Pipelines.Single().Tree.Members.Select(member => $"{member.Path} {member.TypeName} {member.Kind?.ToString() ?? "?"}{(member.Shape is { } shape ? $" {shape.Rows}x{shape.Columns}" : "")}"));
    }
}
