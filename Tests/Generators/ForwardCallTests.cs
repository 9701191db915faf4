using System.Globalization;
using Microsoft.CodeAnalysis;
using PipelineDsl.CodeFixes;
using PipelineDsl.Generators.Analyzers;

namespace PipelineDsl.Generators.Tests;

/// <summary>Hooks run on <c>call</c> alone: who runs a module of a model by <c>forward</c> is told at the call.</summary>
public sealed class ForwardCallTests
{
    [Theory]
    [InlineData("fc2.call(fc1.call(input).relu())", "")]
    [InlineData("fc2.forward(fc1.call(input).relu())", "(27,57) 'fc2.forward' runs no hooks, so the pipeline neither sees what flows through 'fc2' nor can adapt it; write 'fc2.call'")]
    [InlineData("fc2.forward(this.fc1.forward(input).relu())", "(27,57) 'fc2.forward'|(27,74) 'this.fc1.forward'")]
    [InlineData("new[] { fc1, fc2 }.Aggregate(input, (x, layer) => layer.forward(x))", "(27,109) 'layer.forward'")]
    [InlineData("((Module<Tensor, Tensor>)fc2)?.forward(input) ?? input", "(27,84) '((Module<Tensor, Tensor>)fc2).forward'")]
    [InlineData("ReLU().forward(input)", "")]
    [InlineData("Sequential(fc1, fc2).forward(input)", "(27,74) 'Sequential(fc1, fc2).forward'")]
    [InlineData("this.forward(input)", "")]
    [InlineData("Help.forward(input)", "")]
    public async Task In_a_model_with_a_recipe_in_attributes(string body, string expected)
    {
        using var run = new EditorRun().Source("Mlp.cs", Mlp(body));
        (await run.Compile()).ShouldBeEmpty();
        var found = await run.Analyze(new ForwardCallAnalyzer());
        string[] wanted = expected.Split('|', StringSplitOptions.RemoveEmptyEntries);
        found.Length.ShouldBe(wanted.Length);
        foreach (var (problem, start) in found.Zip(wanted))
        {
            Describe(problem).ShouldStartWith(start);
            problem.Severity.ShouldBe(DiagnosticSeverity.Warning);
        }
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("recipe: tiny\nmodel: Stories.StoryLlama\nweights: w\nsteps:\n  - match: lm_head\n    quantize:\n", "lm_head model layers[0] mlp")]
    [InlineData("recipe: tiny\nmodel: Stories.Block\nweights: w\nsteps:\n  - match: q_proj\n    quantize:\n", "mlp")]
    public async Task In_what_a_recipe_reaches_and_nowhere_else(string recipe, string names)
    {
        string model = Models.Llama.Replace("lm_head.call(model.call(input))", "lm_head.forward(model.forward(input))").Replace("layers[0].call", "layers[0].forward").Replace("norm.call", "norm.forward").Replace("mlp.call", "mlp.forward");
        using var run = new EditorRun().Source("StoryLlama.cs", model).Source("Outside.cs", "class Outside { TorchSharp.torch.Tensor Run(Stories.Block block, TorchSharp.torch.Tensor x) => block.forward(x); }");
        if (recipe.Length > 0)
        {
            run.Recipe("tiny.recipe.yaml", recipe);
        }

        var found = await run.Analyze(new ForwardCallAnalyzer());
        string.Join(' ', found.Select(problem => problem.GetMessage(CultureInfo.InvariantCulture).Split('\'')[1].Replace(".forward", ""))).ShouldBe(names);
    }

    [Fact]
    public async Task In_the_base_of_a_model()
    {
        using var run = new EditorRun()
            .Source("Base.cs", "using TorchSharp.Modules; using static TorchSharp.torch; using static TorchSharp.torch.nn;\nnamespace Digits;\npublic abstract class Base : Module<Tensor, Tensor> { protected Linear low = Linear(4, 4); protected Base(string name) : base(name) { } protected Tensor Low(Tensor x) => low.forward(x); }")
            .Source("Mlp.cs", Mlp("fc2.call(input)").Replace("Mlp : Module<Tensor, Tensor>", "Mlp : Base"));
        (await run.Compile()).ShouldBeEmpty();
        (await run.Analyze(new ForwardCallAnalyzer())).Single().GetMessage(CultureInfo.InvariantCulture).ShouldStartWith("'low.forward'");
    }

    [Theory]
    [InlineData("fc2.forward(fc1.call(input).relu())", "fc2.call(fc1.call(input).relu())")]
    [InlineData("fc2 /* last */ . forward /* ! */ (fc1.call(input))", "fc2 /* last */ . call /* ! */ (fc1.call(input))")]
    [InlineData("((Module<Tensor, Tensor>)fc2)?.forward(input) ?? input", "((Module<Tensor, Tensor>)fc2)?.call(input) ?? input")]
    public async Task The_fix_writes_call_and_nothing_else(string before, string after)
    {
        using var run = new EditorRun().Source("Mlp.cs", Mlp(before));
        var problem = (await run.Analyze(new ForwardCallAnalyzer())).Single();
        await run.Apply((await run.Fixes(new ForwardCallFix(), problem)).Single());
        run.Text("Mlp.cs").ShouldBe(Mlp(after));
        (await run.Compile()).ShouldBeEmpty();
        (await run.Analyze(new ForwardCallAnalyzer())).ShouldBeEmpty();
    }

    private static string Mlp(string body) => "using System.Linq;\n" + Models.Mlp.ReplaceLineEndings("\n")
        .Replace("fc2.call(fc1.call(input).relu())", body)
        .Replace("public Mlp()", "private static class Help { public static Tensor forward(Tensor x) => x; }\n    public Mlp()");

    private static string Describe(Diagnostic problem)
    {
        var at = problem.Location.GetLineSpan().StartLinePosition;
        return $"({at.Line + 1},{at.Character + 1}) {problem.GetMessage(CultureInfo.InvariantCulture)}";
    }
}
