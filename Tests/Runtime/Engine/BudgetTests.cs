using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class BudgetTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public static TheoryData<AllocationMethod> Methods => [.. Enum.GetValues<AllocationMethod>()];

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Methods))]
    public void The_artifact_fits_its_budget_whatever_the_method(AllocationMethod method)
    {
        foreach (var steps in new Step[][] { [new Decompose { Orientation = Orientation.Whitened }], [new Decompose { Orientation = Orientation.Output }], [new Decompose(), new Quantize { Bits = 8, GroupSize = 8 }] })
        {
            var full = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Budgeted("100%", method, steps))).Manifest;
            long smallest = full.Allocation!.SmallestBytes;
            for (long bytes = smallest; bytes < smallest + 1000; bytes += 333)
            {
                var manifest = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Budgeted($"{bytes} B", method, steps))).Manifest;
                manifest.Bytes.After.ShouldBeLessThanOrEqualTo(bytes);
                manifest.Bytes.After.ShouldBe(manifest.Allocation!.PlannedBytes);
                manifest.Allocation.Method.ShouldBe(SettingDescriptor.Format(method));
                manifest.Allocation.Layers.Select(layer => layer.Path).ShouldBe(["first", "second", "twin"]);
                var curve = manifest.Allocation.TradeOff;
                (curve.Count > 0).ShouldBe(method is not (AllocationMethod.Uniform or AllocationMethod.Farms));
                curve.Count.ShouldBeLessThanOrEqualTo(AllocationRecord.MaxPoints);
                curve.Select(point => point.Bytes).ShouldBeInOrder();
                curve.Select(point => point.Loss).ShouldBeInOrder(SortDirection.Descending);
                curve.ShouldAllBe(point => point.Bytes >= smallest && point.Bytes <= manifest.Bytes.Before);
            }
        }
    }

    [Fact]
    public void A_generous_budget_keeps_every_layer_as_it_is()
    {
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(Budgeted("1 MB", AllocationMethod.Predicted, new Decompose { Orientation = Orientation.Whitened }))).Manifest;
        manifest.Bytes.After.ShouldBe(manifest.Bytes.Before);
        manifest.Layers.ShouldAllBe(layer => layer.Steps.Count == 0 && layer.Facts["relativeError"] == 0);
        File.ReadAllText(project.In("small.recipe.lock.yaml")).ShouldContain("steps: 'keep'");
    }

    [Fact]
    public void The_lock_shows_the_ranks_that_were_chosen_and_the_layer_says_what_was_predicted()
    {
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(Budgeted("50%", AllocationMethod.Predicted, new Decompose { Orientation = Orientation.Whitened }))).Manifest;
        string locked = File.ReadAllText(project.In("small.recipe.lock.yaml"));
        foreach (var layer in manifest.Allocation!.Layers)
        {
            locked.ShouldContain($"steps: '{layer.Choice}'");
            var solved = manifest.Layers.Single(record => record.Path == layer.Path);
            double energy = solved.Steps.Count == 0 ? 0 : 1 - solved.Facts["energyKept"];
            layer.Reason.ShouldContain(FormattableString.Invariant($"{energy:0.####} of the energy"));
        }

        manifest.Allocation.PredictedDistortion!.Value.ShouldBe(manifest.Allocation.Layers.Sum(layer => layer.Distortion!.Value), 1e-12);
        project.NewRun(locked: true).Execute(new TwoLayersPipeline(Budgeted("50%", AllocationMethod.Predicted, new Decompose { Orientation = Orientation.Whitened })));
        Should.Throw<PipelineException>(() => project.NewRun(locked: true).Execute(new TwoLayersPipeline(Budgeted("70%", AllocationMethod.Predicted, new Decompose { Orientation = Orientation.Whitened }))))
            .Diagnostic.Id.ShouldBe(DiagnosticIds.PlanDiffersFromLock);
    }

    [Fact]
    public void What_layers_contribute_adds_up_to_what_the_loss_gains()
    {
        foreach (var orientation in new[] { Orientation.Weight, Orientation.Whitened, Orientation.Output })
        {
            var allocation = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Budgeted("60%", AllocationMethod.Predicted, new Decompose { Orientation = orientation }))).Manifest.Allocation!;
            allocation.MeasuredDistortion!.Value.ShouldBeGreaterThan(0);
            allocation.PredictedDistortion!.Value.ShouldBe(allocation.MeasuredDistortion.Value, 0.25 * allocation.MeasuredDistortion.Value);
        }
    }

    [Fact]
    public void The_plan_with_the_least_calibration_loss_is_taken_and_equal_shares_are_among_those_tried()
    {
        foreach (string budget in new[] { "40%", "60%", "80%" })
        {
            var allocation = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Budgeted(budget, AllocationMethod.Predicted, new Decompose()))).Manifest.Allocation!;
            double[] tried = [.. Regex.Matches(allocation.Note!, "(-?[0-9.]+)(;|\\. The)").Select(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];
            tried.Length.ShouldBeGreaterThan(1);
            allocation.Note!.ShouldContain("equal shares of parameters");
            allocation.MeasuredDistortion!.Value.ShouldBe(tried.Min(), 1e-4);
        }
    }

    [Fact]
    public void Without_a_loss_all_layers_count_the_same()
    {
        var whitened = Budgeted("50%", AllocationMethod.Predicted, new Decompose { Orientation = Orientation.Whitened });
        var plain = Budgeted("50%", AllocationMethod.Predicted, new Decompose()) with { Calibrate = null };
        foreach (var (recipe, reason) in new[] { (Unlabelled(whitened), "the batch has no target"), (plain, "no calibration data") })
        {
            var allocation = project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(recipe)).Manifest.Allocation!;
            allocation.Note!.ShouldContain(reason);
            allocation.MeasuredDistortion.ShouldBeNull();
            allocation.PredictedDistortion!.Value.ShouldBe(allocation.Layers.Sum(layer => layer.Distortion!.Value), 1e-12);
            allocation.LowerBound!.Value.ShouldBeLessThanOrEqualTo(allocation.PredictedDistortion.Value);
        }
    }

    [Fact]
    public void The_measured_sum_stands_beside_what_all_layers_together_cost()
    {
        var run = project.NewRun();
        var recipe = Budgeted("50%", AllocationMethod.Measured, new Decompose { Orientation = Orientation.Whitened });
        var allocation = run.Execute(new TwoLayersPipeline(recipe)).Manifest.Allocation!;
        allocation.MeasuredDistortion.ShouldNotBeNull();
        double.IsFinite(allocation.MeasuredDistortion.Value).ShouldBeTrue();
        var again = project.NewRun();
        again.Execute(new TwoLayersPipeline(recipe)).Manifest.Allocation!.Layers.ShouldBe(allocation.Layers);
        again.SolvedLayers.ShouldBeEmpty();
    }

    [Fact]
    public void A_second_run_gives_the_same_bytes_and_leaves_no_live_tensors()
    {
        var pipeline = new TwoLayersPipeline(Budgeted("20 bpw", AllocationMethod.Measured, new Decompose { Orientation = Orientation.Output }));
        var first = project.NewRun("one", "cache1");
        first.Execute(pipeline, cores: 1);
        long before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var second = project.NewRun("two", "cache2");
        second.Execute(pipeline, cores: 3);
        TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBeLessThanOrEqualTo(before);
        second.Bytes(ArtifactFiles.Weights).ShouldBe(first.Bytes(ArtifactFiles.Weights));
        second.Bytes(ArtifactFiles.Manifest).ShouldBe(first.Bytes(ArtifactFiles.Manifest));
    }

    [Fact]
    public void Layers_with_a_rank_of_their_own_count_and_are_left_alone()
    {
        var recipe = TwoLayersProject.Recipe(
            ("first", [new Decompose { Rank = 4 }]),
            ("{second,twin}", [new Decompose { Orientation = Orientation.Whitened }])) with { Budget = Parse("60%") };
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(recipe)).Manifest;
        manifest.Layers[0].Steps.ShouldBe([new Decompose { Rank = 4 }.ToString()]);
        manifest.Allocation!.Layers.Select(layer => layer.Path).ShouldBe(["second", "twin"]);
        manifest.Bytes.After.ShouldBeLessThanOrEqualTo(manifest.Allocation.BudgetBytes);
    }

    [Fact]
    public void A_budget_out_of_reach_is_an_error_that_names_the_smallest_one()
    {
        var recipe = Budgeted("100 B", AllocationMethod.Predicted, new Decompose());
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(recipe)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BudgetNotAttainable);
        failure.Diagnostic.Span.Line.ShouldBe(7);
        long smallest = long.Parse(Regex.Match(failure.Message, "smallest is ([0-9]+)").Groups[1].Value, CultureInfo.InvariantCulture);
        project.NewRun().Execute(new TwoLayersPipeline(Budgeted($"{smallest} B", AllocationMethod.Predicted, new Decompose()))).Manifest.Bytes.After.ShouldBe(smallest);
    }

    [Fact]
    public void A_budget_with_nothing_to_choose_is_an_error()
    {
        var recipe = TwoLayersProject.Recipe(("first", [new Decompose { Rank = 4 }])) with { Budget = Parse("60%") };
        Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(recipe))).Diagnostic.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
    }

    [Fact]
    public void Both_reports_tell_what_each_layer_got_and_why()
    {
        var run = project.NewRun();
        run.Execute(new TwoLayersPipeline(Budgeted("50%", AllocationMethod.Predicted, new Decompose { Orientation = Orientation.Whitened })));
        foreach (string file in new[] { ArtifactFiles.MarkdownReport, ArtifactFiles.HtmlReport })
        {
            string report = System.Text.Encoding.UTF8.GetString(run.Bytes(file));
            report.ShouldContain("How the budget was spent");
            report.ShouldContain("of the energy in its metric given up");
            report.ShouldContain("The least was taken");
            report.ShouldContain("Next cheaper");
            report.ShouldContain("1 KB = 1024 bytes");
        }
    }

    /// <summary>The same recipe with calibration data that has no target.</summary>
    private Recipe Unlabelled(Recipe recipe)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(project.In(TwoLayersProject.DataFile));
        SafetensorsWriter.Write(project.In("unlabelled.safetensors"), new Dictionary<string, Tensor> { ["input"] = file.Read("input") });
        return recipe with { Calibrate = recipe.Calibrate! with { Data = "unlabelled.safetensors" } };
    }

    private static Recipe Budgeted(string budget, AllocationMethod method, params Step[] steps) =>
        TwoLayersProject.Recipe(("**", steps)) with { Budget = Parse(budget), Allocate = method };

    private static Budget Parse(string text) => Budget.Parse(text, TwoLayersProject.Span(7), out _).ShouldNotBeNull();
}
