using System.Collections;
using System.Reflection;
using Microsoft.CodeAnalysis;
using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;

namespace PipelineDsl.Generators.Tests;

public sealed class CachingTests
{
    private static readonly string[] Steps = [.. typeof(PipelineStepNames).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (string)field.GetRawConstantValue()!)];

    [Fact]
    public void An_unrelated_edit_changes_no_step_and_no_output()
    {
        var run = Both();
        run.Run();
        AssertCached(run.Source("Consumer.cs", Models.TinyConsumer + "\n// an edit").Run());
    }

    [Fact]
    public void A_new_unrelated_file_changes_no_step_and_no_output()
    {
        var run = Both();
        run.Run();
        AssertCached(run.Source("Other.cs", "class Other : System.IDisposable { public void Dispose() { } }").Run());
    }

    [Fact]
    public void A_comment_inside_the_model_changes_no_output()
    {
        var run = Both();
        var before = run.Run();
        var after = run.Source("StoryLlama.cs", Models.Llama + "// an edit").Run();
        after.Files.ShouldBe(before.Files);
        after.Reasons(PipelineStepNames.BoundProject).ShouldAllBe(reason => reason == IncrementalStepRunReason.Cached || reason == IncrementalStepRunReason.Unchanged);
    }

    [Fact]
    public void A_changed_recipe_changes_its_own_pipeline_only()
    {
        var run = Both();
        run.Run();
        var result = run.Recipe("tiny.recipe.yaml", Models.Tiny.Replace("rank: 8", "rank: 9")).Run();
        result.Reasons(PipelineStepNames.YamlRecipes).ShouldContain(IncrementalStepRunReason.Modified);
        result.Reasons(PipelineStepNames.Pipelines).Count(reason => reason == IncrementalStepRunReason.Modified).ShouldBe(1);
        result.Reasons(PipelineStepNames.LayerNames).ShouldAllBe(reason => reason != IncrementalStepRunReason.Modified);
    }

    [Fact]
    public void A_changed_shape_changes_the_model()
    {
        var run = Both();
        run.Run();
        var result = run.Source("StoryLlama.cs", Models.Llama.Replace("Width = 64", "Width = 32")).Run();
        result.Reasons(PipelineStepNames.ModuleClasses).ShouldContain(IncrementalStepRunReason.Modified);
    }

    /// <summary>What a class is read as depends on more than its own file.</summary>
    [Theory]
    [InlineData("class Sizes { public const int Width = 48; }", "class Sizes { public const int Width = 24; }", "fc1: 24")]
    [InlineData("class Base : Module<Tensor, Tensor> { protected readonly Linear low = Linear(48, 8); }", "class Base : Module<Tensor, Tensor> { protected readonly Linear low = Linear(48, 6); }", "low: 6")]
    [InlineData("partial class Net { }", "partial class Net { private readonly Linear more = Linear(48, 5); }", "more: 5")]
    public void An_edit_in_another_file_changes_the_classes_that_depend_on_it(string before, string after, string expected)
    {
        const string usings = "using TorchSharp.Modules; using static TorchSharp.torch; using static TorchSharp.torch.nn;\nnamespace Mine;\n";
        string others = string.Concat(new[] { "class Sizes { public const int Width = 48; }", "class Base : Module<Tensor, Tensor> { protected Base() : base(\"\") { } protected readonly Linear low = Linear(48, 8); }" }
            .Where(type => type.Split(' ')[1] != before.Replace("partial ", "").Split(' ')[1]).Select(type => type + "\n"));
        var run = new GeneratorRun()
            .Source("Net.cs", usings + "[PipelineDsl.Recipe(\"net\", Weights = \"w\")] public partial class Net : Base { private readonly Linear fc1 = Linear(8, Sizes.Width); }")
            .Source("Others.cs", usings + others)
            .Source("Edited.cs", usings + before);
        run.Run();
        run.Source("Unrelated.cs", "class Unrelated { int Value() => 1; }").Run();
        run.Source("Unrelated.cs", "class Unrelated { int Value() => 2; }").Run();
        var result = run.Source("Edited.cs", usings + after).Run();
        var net = result.Raw.TrackedSteps[PipelineStepNames.ModuleClasses].SelectMany(step => step.Outputs).Select(output => (ModuleClass)output.Value).Single(type => type.Name == "Net");
        net.Members.Select(member => $"{member.Name}: {member.Shape?.Rows.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"}").ShouldContain(expected);
        result.Files.ShouldBe(new GeneratorRun()
            .Source("Net.cs", usings + "[PipelineDsl.Recipe(\"net\", Weights = \"w\")] public partial class Net : Base { private readonly Linear fc1 = Linear(8, Sizes.Width); }")
            .Source("Others.cs", usings + others)
            .Source("Edited.cs", usings + after).Run().Files);
    }

    [Fact]
    public void Equal_sources_give_equal_models_in_any_order_of_files()
    {
        var one = Bound(Both().Run());
        var other = Bound(new GeneratorRun().Recipe("tiny.recipe.yaml", Models.Tiny).Source("Consumer.cs", Models.TinyConsumer).Source("Mlp.cs", Models.Mlp).Source("StoryLlama.cs", Models.Llama).Run());
        other.ShouldBe(one);
        other.GetHashCode().ShouldBe(one.GetHashCode());
    }

    [Fact]
    public void No_model_holds_on_to_the_compiler()
    {
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
        var result = Both().Run();
        foreach (object value in Steps.Where(result.Raw.TrackedSteps.ContainsKey).SelectMany(step => result.Raw.TrackedSteps[step]).SelectMany(step => step.Outputs).Select(output => output.Value))
        {
            Walk(value, seen);
        }

        seen.Count.ShouldBeGreaterThan(100);
    }

    private static GeneratorRun Both() => EmissionTests.Tiny().Source("Mlp.cs", Models.Mlp);

    private static BoundProject Bound(GeneratorResult result) => (BoundProject)result.Raw.TrackedSteps[PipelineStepNames.BoundProject].Single().Outputs.Single().Value;

    private static void AssertCached(GeneratorResult result)
    {
        foreach (string step in Steps.Where(result.Raw.TrackedSteps.ContainsKey))
        {
            result.Reasons(step).ShouldAllBe(reason => reason == IncrementalStepRunReason.Cached || reason == IncrementalStepRunReason.Unchanged, step);
        }

        result.Raw.TrackedOutputSteps.SelectMany(step => step.Value).SelectMany(step => step.Outputs).ShouldAllBe(output => output.Reason == IncrementalStepRunReason.Cached);
    }

    private static void Walk(object? value, HashSet<object> seen)
    {
        if (value is null or string or Type || value.GetType().IsPrimitive || value.GetType().IsEnum || !seen.Add(value))
        {
            return;
        }

        var type = value.GetType();
        (type.Namespace ?? "").ShouldNotStartWith("Microsoft.CodeAnalysis");
        if (value is IEnumerable items)
        {
            foreach (object? item in items)
            {
                Walk(item, seen);
            }
        }

        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            Walk(field.GetValue(value), seen);
        }
    }
}
