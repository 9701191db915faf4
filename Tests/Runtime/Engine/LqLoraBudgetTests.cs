using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Tests.Allocation;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>The integer programme over configurations of LQ-LoRA, in a recipe's budget.</summary>
public sealed class LqLoraBudgetTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public static TheoryData<AllocationMethod> Methods => [.. Enum.GetValues<AllocationMethod>()];

    private static LqLora Open => new() { Rank = 1, Weighted = false };

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Methods))]
    public void The_artifact_fits_its_budget_to_the_byte_whatever_the_method(AllocationMethod method)
    {
        foreach (var step in new[] { Open, new LqLora { Rank = 1 } })
        {
            foreach (string budget in new[] { "40%", "60%" })
            {
                var manifest = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Budgeted(budget, method, step))).Manifest;
                manifest.Bytes.After.ShouldBeLessThanOrEqualTo(manifest.Allocation!.BudgetBytes);
                manifest.Bytes.After.ShouldBe(manifest.Allocation.PlannedBytes);
                manifest.Layers.ShouldContain(layer => layer.Steps.Any(text => text.StartsWith("lqLora { ", StringComparison.Ordinal)));
            }
        }
    }

    [Fact]
    public void Without_a_loss_the_plan_is_the_least_sum_of_squared_errors_that_any_solver_finds()
    {
        foreach (string budget in new[] { "35%", "50%", "70%" })
        {
            var recipe = Budgeted(budget, AllocationMethod.Predicted, Open) with { Calibrate = null };
            var allocation = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(recipe)).Manifest.Allocation!;
            var (options, energy) = Programme();
            long left = allocation.BudgetBytes - (allocation.PlannedBytes - allocation.Layers.Sum(layer => layer.Bytes));
            double least = OrTools.LeastDistortion(options, left).ShouldNotBeNull();
            double tried = options[0].SelectMany(first => options[1].SelectMany(second => options[2].Where(third => first.Cost + second.Cost + third.Cost <= left).Select(third => first.Distortion + second.Distortion + third.Distortion))).Min();
            least.ShouldBeNear(tried, 1e-9);
            (allocation.PredictedDistortion!.Value * energy).ShouldBeNear(least, 1e-9);
            allocation.LowerBound!.Value.ShouldBeLessThanOrEqualTo(allocation.PredictedDistortion.Value);
            allocation.Note!.ShouldContain("no calibration data");
            allocation.Layers.ShouldAllBe(layer => layer.Reason.Contains("of a layer's mean energy lost"));
        }
    }

    [Fact]
    public void Every_candidate_costs_what_its_step_alone_leaves_unless_another_beats_it()
    {
        using var scope = NewDisposeScope();
        var problem = Problem("first", null);
        var open = new LqLora { Rank = 2, Weighted = false };
        var candidates = open.Candidates(problem.Shape);
        var compared = SolverCatalog.For(open).Compare(problem, candidates);
        compared.Energy!.Value.ShouldBeNear(Math.Pow(Compare.Norm(problem.Weight.Materialize()), 2), 1e-12);
        long[] bytes = [.. candidates.Select(candidate => candidate.Predict(problem.Shape, Array.Empty<MatrixCost>()).Sum(cost => cost.Bytes))];
        var errors = compared.Errors;
        int fitted = 0;
        for (int i = 0; i < candidates.Count; i++)
        {
            double alone = SolverCatalog.For(candidates[i]).Solve(problem, candidates[i]).Facts["weightedError"];
            fitted += errors[i] == alone ? 1 : 0;
            bool beaten = Enumerable.Range(0, candidates.Count).Any(other => other != i && bytes[other] <= bytes[i] && errors[other] <= errors[i]);
            (errors[i] == alone || beaten).ShouldBeTrue(candidates[i].ToString());
        }

        fitted.ShouldBeGreaterThan(5);
    }

    [Fact]
    public void A_layer_that_no_gradient_reaches_counts_nothing()
    {
        using var scope = NewDisposeScope();
        var step = new LqLora { Rank = 1 };
        Energy(zeros(16, 24)).ShouldBe(0);
        Energy(ones(16, 24) * 3).ShouldBeNear(3 * Math.Pow(Compare.Norm(Problem("first", null).Weight.Materialize()), 2), 1e-6);

        double Energy(Tensor fisher)
        {
            var problem = Problem("first", fisher);
            return SolverCatalog.For(step).Compare(problem, [step.Candidates(problem.Shape)[^1]]).Energy!.Value;
        }
    }

    [Fact]
    public void The_lock_shows_the_configurations_and_a_second_run_solves_nothing_again()
    {
        var recipe = Budgeted("50%", AllocationMethod.Predicted, new LqLora { Rank = 1 });
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(recipe)).Manifest;
        string locked = File.ReadAllText(project.In("small.recipe.lock.yaml"));
        manifest.Allocation!.Layers.ShouldAllBe(layer => locked.Contains($"steps: '{layer.Choice}'"));
        locked.ShouldNotContain("bits: 0");
        var again = project.NewRun(locked: true);
        again.Execute(new TwoLayersPipeline(recipe)).Manifest.Allocation!.Layers.ShouldBe(manifest.Allocation.Layers);
        again.SolvedLayers.ShouldBeEmpty();
    }

    [Fact]
    public void Ranks_and_configurations_share_one_budget()
    {
        var recipe = TwoLayersProject.Recipe(("first", [Open]), ("{second,twin}", [new Decompose()])) with { Budget = Parse("50%") };
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(recipe)).Manifest;
        manifest.Bytes.After.ShouldBeLessThanOrEqualTo(manifest.Allocation!.BudgetBytes);
        manifest.Allocation.Layers.Count.ShouldBe(3);
        manifest.Allocation.MeasuredDistortion.ShouldNotBeNull();
    }

    [Fact]
    public void A_budget_out_of_reach_is_an_error_that_names_the_smallest_one()
    {
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Budgeted("100 B", AllocationMethod.Predicted, Open))));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BudgetNotAttainable);
        long smallest = long.Parse(Regex.Match(failure.Message, "smallest is ([0-9]+)").Groups[1].Value, CultureInfo.InvariantCulture);
        project.NewRun().Execute(new TwoLayersPipeline(Budgeted($"{smallest} B", AllocationMethod.Predicted, Open))).Manifest.Bytes.After.ShouldBe(smallest);
    }

    private static Recipe Budgeted(string budget, AllocationMethod method, Step step) => TwoLayersProject.Recipe(("**", [step])) with { Budget = Parse(budget), Allocate = method };

    private static Budget Parse(string text) => Budget.Parse(text, TwoLayersProject.Span(7), out _).ShouldNotBeNull();

    /// <summary>Every configuration of every layer with its squared error, and keeping the layer; and the layers' mean energy.</summary>
    private (IReadOnlyList<IReadOnlyList<AllocationOption>> Options, double Energy) Programme()
    {
        using var scope = NewDisposeScope();
        var layers = new[] { "first", "second", "twin" }.Select(path => Problem(path, null)).ToList();
        var errors = layers.Select(problem => SolverCatalog.For(Open).Compare(problem, Open.Candidates(problem.Shape)).Errors).ToList();
        return ([.. layers.Zip(errors).Select(layer => (IReadOnlyList<AllocationOption>)[
            .. Open.Candidates(layer.First.Shape).Select((step, i) => new AllocationOption(
                step.Predict(layer.First.Shape, []).Sum(cost => cost.Bytes),
                Math.Pow(Compare.Norm(layer.First.Weight.Materialize()), 2) * layer.Second[i])),
            new(layer.First.Shape.Count * 4, 0)])], layers.Average(problem => Math.Pow(Compare.Norm(problem.Weight.Materialize()), 2)));
    }

    private LayerProblem Problem(string path, Tensor? fisher)
    {
        using var file = SafetensorsFile.Open(project.In(TwoLayersProject.WeightsFile));
        return new(path, new Dense(file.Read(path + ".weight")), null, new LayerStatistics { FisherDiagonal = fisher }, 0);
    }
}
