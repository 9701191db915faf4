using PipelineDsl.CodeFixes;

namespace PipelineDsl.Generators.Tests;

/// <summary>A mistake with one cure is cured where it stands.</summary>
public sealed class CureTests
{
    private const string Head = "recipe: r\nmodel: Stories.StoryLlama\nweights: w.safetensors\n";
    private const string Steps = "steps:\n  - match: lm_head\n    quantize: { bits: 4 }\n";

    [Theory]
    [InlineData(Head + Steps, "quantize", "quantise")]
    [InlineData(Head + Steps, "bits", "bit")]
    [InlineData(Head + Steps, "weights", "wieghts")]
    [InlineData(Head + Steps, "match: lm_head", "match: lm_haed")]
    [InlineData(Head + Steps, "match: lm_head", "match: \"lm_haed\"")]
    [InlineData(Head + Steps, "Stories.StoryLlama", "StoryLlama")]
    [InlineData(Head + Steps, "bits: 4", "bits: \"4\"")]
    [InlineData(Head + "steps:\n  - match: lm_head\n    decompose: { rank: 64, orientation: weight }\n", "rank: 64", "rank: 65")]
    [InlineData(Head + "steps:\n  - match: lm_head\n    decompose: { rank: 56, orientation: weight }\n", "rank: 56", "rank: 57")]
    [InlineData(Head + "steps:\n  - match: lm_head\n    decompose: { rank: 8, orientation: weight }\n", "orientation: weight", "orientation: wieght")]
    [InlineData(Head + "steps:\n  - match: lm_head\n    quantize: { groupSize: 64 }\n", "groupSize: 64", "groupSize: 128")]
    [InlineData(Head + Steps + "evaluate: { data: t.txt, metric: accuracy }\n", "accuracy", "acuracy")]
    public async Task In_a_recipe(string right, string part, string wrong)
    {
        using var run = new EditorRun().Source("StoryLlama.cs", Models.Llama).Recipe("r.recipe.yaml", right.Replace(part, wrong));
        string at = wrong[(wrong.IndexOf(": ", StringComparison.Ordinal) is > 0 and var colon ? colon + 2 : 0)..];
        var cure = (await run.Refactorings(new TakeTheCure(), "r.recipe.yaml", at)).Single();
        cure.Title.ShouldStartWith("Write '");
        await run.Apply(cure);
        run.Text("r.recipe.yaml").ShouldBe(right);
    }

    [Theory]
    [InlineData("Rank = 64", "Rank = 65")]
    [InlineData("Rank = 42", "Rank = 60")]
    [InlineData("Bits = 8, GroupSize = 64", "Bits = 8, GroupSize = 4096")]
    public async Task In_an_attribute(string right, string wrong)
    {
        string model = Models.Mlp.ReplaceLineEndings("\n");
        string before = right.StartsWith("Rank", StringComparison.Ordinal) ? "Rank = 16" : "Bits = 8";
        using var run = new EditorRun().Source("Mlp.cs", model.Replace(before, wrong));
        await run.Apply((await run.Refactorings(new TakeTheCure(), "Mlp.cs", wrong[(wrong.LastIndexOf(' ') + 1)..])).Single());
        run.Text("Mlp.cs").ShouldBe(model.Replace(before, right));
    }

    [Fact]
    public async Task A_mistake_with_more_than_one_way_out_has_no_cure()
    {
        using var run = new EditorRun().Source("StoryLlama.cs", Models.Llama).Recipe("r.recipe.yaml", Head + Steps.Replace("lm_head", "quite.another.thing").Replace("bits: 4", "bits: 99"));
        (await run.Refactorings(new TakeTheCure(), "r.recipe.yaml", "quite")).ShouldBeEmpty();
        (await run.Refactorings(new TakeTheCure(), "r.recipe.yaml", "99")).ShouldBeEmpty();
        (await run.Refactorings(new TakeTheCure(), "r.recipe.yaml", "weights")).ShouldBeEmpty();
        (await run.Refactorings(new TakeTheCure(), "StoryLlama.cs", "lm_head")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("Quantize(Bits = 8)", "Quantise(Bits = 8)")]
    [InlineData("Quantize(Bits = 8)", "Quantize(Bit = 8)")]
    [InlineData("Quantize(Bits = 8)", "PipelineDsl.Quantze(Bits = 8)")]
    [InlineData("Orientation.Whitened", "Orientation.Whitend")]
    [InlineData("Calibrate(", "Calibrat(")]
    [InlineData("Samples = 32", "Sample = 32")]
    [InlineData("MaxRegression = 0.01", "MaxRegresion = 0.01")]
    [InlineData("Metric.Accuracy", "Metric.Acuracy")]
    public async Task Of_a_name_that_the_compiler_does_not_know(string right, string wrong)
    {
        string model = Models.Mlp.ReplaceLineEndings("\n");
        using var run = new EditorRun().Source("Mlp.cs", model.Replace(right, wrong));
        var fix = new MisspeltWordFix();
        var problem = (await run.Compile()).First(problem => fix.FixableDiagnosticIds.Contains(problem.Id));
        await run.Apply((await run.Fixes(fix, problem)).Single());
        run.Text("Mlp.cs").Replace("PipelineDsl.Quantize", "Quantize").ShouldBe(model);
        (await run.Compile()).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("Obsolet")]
    [InlineData("Quantise(NotASetting.Nothing)]  [Obsolete(Nothing.At")]
    public async Task Names_of_others_are_left_alone(string attribute)
    {
        using var run = new EditorRun().Source("Mlp.cs", Models.Mlp.ReplaceLineEndings("\n").Replace("[Quantize(Bits = 8)]", $"[{attribute}]"));
        foreach (var problem in (await run.Compile()).Where(problem => problem.GetMessage(System.Globalization.CultureInfo.InvariantCulture).Contains("Obsolet", StringComparison.Ordinal)))
        {
            (await run.Fixes(new MisspeltWordFix(), problem)).ShouldBeEmpty();
        }
    }
}
