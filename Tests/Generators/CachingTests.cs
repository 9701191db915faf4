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
