using System.Collections.Concurrent;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class PipelineRunnerTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    private static Recipe Balanced(int rank = 4) => TwoLayersProject.Recipe(
        ("first", [new Decompose { Rank = rank, Orientation = Orientation.Whitened }]),
        ("second", [new Quantize { Bits = 8, GroupSize = 8 }]),
        ("twin", [new Decompose { Rank = 2, Orientation = Orientation.Context }, new Quantize { Bits = 4 }]));

    public void Dispose() => project.Dispose();

    [Fact]
    public void A_run_leaves_weights_manifest_and_reports()
    {
        var run = project.NewRun();
        var result = run.Execute(new TwoLayersPipeline(Balanced()));
        result.Files.Select(Path.GetFileName).ShouldBe(ArtifactFiles.All, ignoreOrder: true);
        result.Files.ShouldAllBe(file => File.Exists(file));
        result.Manifest.Bytes.After.ShouldBeLessThan(result.Manifest.Bytes.Before);
        result.Manifest.Layers.Select(layer => layer.Path).ShouldBe(["first", "second", "twin"]);
        result.Manifest.Quality!.Before.ShouldBe(1);
        run.Diagnostics.ShouldBeEmpty();
        Directory.GetFileSystemEntries(project.In("models")).ShouldBe([run.Artifact]);
    }

    /// <summary>However long it takes: what it found at its beginning it may come back to at its end.</summary>
    [Fact]
    public void A_run_keeps_its_cache_from_being_cleared_until_its_end()
    {
        var inventory = new StoreInventory(project.In("cache"));
        var cleared = new ConcurrentQueue<bool>();
        var run = project.NewRun();
        run.Recorded = _ => cleared.Enqueue(inventory.Clear(DateTime.MaxValue) is not null);
        run.Execute(new TwoLayersPipeline(Balanced()));

        cleared.ShouldNotBeEmpty();
        cleared.ShouldAllBe(wasCleared => !wasCleared);
        inventory.Clear(DateTime.MaxValue)!.Value.Entries.ShouldBeGreaterThan(2);
        inventory.Entries().ShouldBeEmpty();
    }

    [Fact]
    public void Predicted_bytes_are_the_bytes_that_are_stored()
    {
        var result = project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        string locked = File.ReadAllText(project.In("small.recipe.lock.yaml"));
        foreach (var layer in result.Manifest.Layers)
        {
            locked.ShouldContain($"{layer.Path}: {{ bytes: {layer.BytesBefore}, bytesAfter: {layer.BytesAfter},");
        }
    }

    [Fact]
    public void Inputs_are_rounded_in_the_evaluation_as_they_will_be_in_the_application()
    {
        var run = project.NewRun();
        var result = run.Execute(new TwoLayersPipeline(TwoLayersProject.Recipe(("*", [new SvdQuant { Rank = 2, GroupSize = 8 }]))));
        string locked = File.ReadAllText(project.In("small.recipe.lock.yaml"));
        foreach (var layer in result.Manifest.Layers)
        {
            layer.Facts["outputError"].ShouldBeLessThan(layer.Facts["roundedOutputError"]);
            locked.ShouldContain($"bytesAfter: {layer.BytesAfter},");
        }

        run.Diagnostics.ShouldBeEmpty();
        result.Manifest.Quality!.After.ShouldBeInRange(0.5, 1);
    }

    [Theory]
    [InlineData(ReconstructionScope.Block)]
    [InlineData(ReconstructionScope.Layer)]
    public void Learned_levels_leave_a_smaller_output_error_than_searched_ones(ReconstructionScope scope)
    {
        var result = project.NewRun().Execute(new TwoLayersPipeline(TwoLayersProject.Recipe(("*", [new Nupes { Bits = 3, Iterations = 80, Reconstruct = scope }]))));
        foreach (var layer in result.Manifest.Layers)
        {
            layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossBefore"]);
        }
    }

    [Fact]
    public void A_weight_that_is_stored_as_zeros_is_told()
    {
        using (var scope = NewDisposeScope())
        using (var weights = SafetensorsFile.Open(project.In(TwoLayersProject.WeightsFile)))
        {
            var tensors = weights.Names.ToDictionary(name => name, weights.Read);
            tensors["first.weight"] = tensors["first.weight"] * 1e-9f;
            SafetensorsWriter.Write(project.In("small.safetensors"), tensors);
        }

        var run = project.NewRun();
        run.Execute(new TwoLayersPipeline(TwoLayersProject.Recipe(("*", [new Quantize { GroupSize = 8 }])) with { Weights = "small.safetensors" }));
        run.Diagnostics.Where(diagnostic => diagnostic.Message.Contains("nothing of the weight is left")).ShouldHaveSingleItem().Message.ShouldStartWith("layer 'first'");
    }

    [Fact]
    public void A_second_run_solves_nothing_and_changes_no_byte()
    {
        var first = project.NewRun();
        first.Execute(new TwoLayersPipeline(Balanced()));
        byte[] weights = first.Bytes(ArtifactFiles.Weights);
        byte[] manifest = first.Bytes(ArtifactFiles.Manifest);
        var time = File.GetLastWriteTimeUtc(Path.Combine(first.Artifact, ArtifactFiles.Weights));
        var second = project.NewRun();
        second.Execute(new TwoLayersPipeline(Balanced()));
        second.SolvedLayers.ShouldBeEmpty();
        second.Journal.ShouldBe(["recipe small solved=0 cached=3"]);
        second.Bytes(ArtifactFiles.Weights).ShouldBe(weights);
        second.Bytes(ArtifactFiles.Manifest).ShouldBe(manifest);
        File.GetLastWriteTimeUtc(Path.Combine(first.Artifact, ArtifactFiles.Weights)).ShouldBe(time);
    }

    [Fact]
    public void Two_clean_runs_give_the_same_bytes_whatever_the_number_of_cores()
    {
        var one = project.NewRun("one", "cache1");
        var two = project.NewRun("two", "cache2");
        one.Execute(new TwoLayersPipeline(Balanced()), cores: 1);
        two.Execute(new TwoLayersPipeline(Balanced()), cores: 3);
        two.Bytes(ArtifactFiles.Weights).ShouldBe(one.Bytes(ArtifactFiles.Weights));
        two.Bytes(ArtifactFiles.Manifest).ShouldBe(one.Bytes(ArtifactFiles.Manifest));
    }

    [Fact]
    public void A_changed_rank_solves_that_layer_alone()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced(rank: 4)));
        var again = project.NewRun();
        again.Execute(new TwoLayersPipeline(Balanced(rank: 5)));
        again.SolvedLayers.ShouldBe(["first"]);
        again.Journal.ShouldNotContain(entry => entry.StartsWith("statistics", StringComparison.Ordinal));
    }

    [Fact]
    public void Changed_code_calibrates_again_and_solves_nothing_when_the_numbers_stay()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        var again = project.NewRun();
        again.Execute(new TwoLayersPipeline(Balanced()), code: "2");
        again.SolvedLayers.ShouldBeEmpty();
        again.Journal.ShouldContain("statistics small layers=2");
    }

    [Fact]
    public void A_damaged_cache_entry_is_dropped_and_redone()
    {
        var first = project.NewRun();
        first.Execute(new TwoLayersPipeline(Balanced()));
        byte[] weights = first.Bytes(ArtifactFiles.Weights);
        foreach (string file in Directory.GetFiles(project.In("cache/cas"), "*", SearchOption.AllDirectories))
        {
            byte[] content = File.ReadAllBytes(file);
            content[^1] ^= 1;
            File.WriteAllBytes(file, content);
        }

        var again = project.NewRun();
        again.Execute(new TwoLayersPipeline(Balanced()));
        again.SolvedLayers.ShouldBe(["first", "second", "twin"]);
        again.Bytes(ArtifactFiles.Weights).ShouldBe(weights);
    }

    [Fact]
    public void A_failed_gate_names_the_costly_layers_and_keeps_the_previous_artifact()
    {
        var first = project.NewRun();
        first.Execute(new TwoLayersPipeline(Balanced()));
        byte[] manifest = first.Bytes(ArtifactFiles.Manifest);
        var harsh = TwoLayersProject.Recipe(("**", [new Decompose { Rank = 1 }])) with
        {
            Evaluate = new(TwoLayersProject.DataFile, Metric.Accuracy, 2, 0.01, TwoLayersProject.Span(5), TwoLayersProject.Span(4)),
        };
        var failure = Should.Throw<PipelineException>(() => project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(harsh)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.GateFailed);
        failure.Diagnostic.Span.Line.ShouldBe(5);
        failure.Message.ShouldContain("'first'");
        first.Bytes(ArtifactFiles.Manifest).ShouldBe(manifest);
        Directory.GetFileSystemEntries(project.In("models")).ShouldBe([first.Artifact]);

        string refused = project.In("models.refused/small");
        failure.Message.ShouldContain(Path.Combine(refused, ArtifactFiles.HtmlReport));
        File.ReadAllText(Path.Combine(refused, ArtifactFiles.HtmlReport)).ShouldContain("✗ Failed");
        File.ReadAllText(Path.Combine(refused, ArtifactFiles.MarkdownReport)).ShouldContain("✗ failed");
        File.ReadAllText(Path.Combine(refused, ArtifactFiles.JsonReport)).ShouldContain("\"passed\": false");
        project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Balanced()));
        Directory.Exists(refused).ShouldBeFalse();
    }

    [Fact]
    public void Locked_mode_refuses_a_plan_that_differs_and_names_the_layer()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        project.NewRun(locked: true).Execute(new TwoLayersPipeline(Balanced()));
        var failure = Should.Throw<PipelineException>(() => project.NewRun(locked: true).Execute(new TwoLayersPipeline(Balanced(rank: 5))));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.PlanDiffersFromLock);
        failure.Message.ShouldContain("layer 'first'");
        failure.Message.ShouldNotContain("'twin'");
    }

    [Fact]
    public void A_layer_called_through_forward_is_reported_by_name()
    {
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Balanced(), bypassHooks: true)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.LayerNotReached);
        failure.Message.ShouldContain("'first'");
        failure.Message.ShouldContain("'call'");
    }

    [Fact]
    public void A_missing_file_is_an_error_where_the_recipe_names_it()
    {
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Balanced() with { Weights = "weigths.safetensors" })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
        failure.Diagnostic.Span.Line.ShouldBe(2);
        failure.Message.ShouldContain("did you mean 'weights.safetensors'");
    }

    [Fact]
    public void Weights_of_another_model_are_refused()
    {
        using var wrong = zeros(3, 3);
        SafetensorsWriter.Write(project.In("other.safetensors"), new Dictionary<string, Tensor> { ["first.weight"] = wrong });
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Balanced() with { Weights = "other.safetensors" })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.WeightsDoNotFitModel);
    }

    [Fact]
    public void Not_a_number_in_the_weights_is_an_error_that_names_the_layer()
    {
        using (var model = new TwoLayers())
        using (no_grad())
        {
            model.state_dict()["first.weight"].fill_(float.NaN);
            SafetensorsWriter.Write(project.In("nan.safetensors"), model.state_dict());
        }

        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(TwoLayersProject.Recipe(("first", [new Decompose { Rank = 2 }])) with { Weights = "nan.safetensors" })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);
        failure.Diagnostic.Span.Line.ShouldBe(2);
        failure.Message.ShouldBe("'first.weight' in 'nan.safetensors' holds values that are no finite numbers (NaN or infinity); get or write the weights again");
    }

    [Fact]
    public void A_cache_that_cannot_be_written_names_itself_and_no_temporary_file()
    {
        File.WriteAllText(project.In("blocked"), "");
        var failure = Should.Throw<PipelineException>(() => project.NewRun(cache: "blocked").Execute(new TwoLayersPipeline(Balanced())));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.FileFailed);
        failure.Message.ShouldStartWith($"cannot write to the cache '{project.In("blocked")}': ");
        Directory.GetFileSystemEntries(project.Folder, "*.tmp").ShouldBeEmpty();
    }

    [Fact]
    public void An_output_folder_that_cannot_be_made_names_itself()
    {
        File.WriteAllText(project.In("blocked"), "");
        var failure = Should.Throw<PipelineException>(() => project.NewRun("blocked").Execute(new TwoLayersPipeline(Balanced())));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.FileFailed);
        failure.Message.ShouldStartWith($"the output folder '{project.In("blocked")}' cannot be made: ");
    }

    [Fact]
    public void A_lock_file_that_cannot_be_written_is_an_error_that_leaves_nothing()
    {
        Directory.CreateDirectory(project.In("small.recipe.lock.yaml"));
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Balanced())));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.FileFailed);
        failure.Message.ShouldStartWith($"cannot write '{project.In("small.recipe.lock.yaml")}': ");
        failure.Message.ShouldNotContain(".tmp");
        Directory.GetFiles(project.Folder, "*.tmp").ShouldBeEmpty();
    }

    [Fact]
    public void Data_where_a_folder_stands_is_told_so()
    {
        Directory.CreateDirectory(project.In("folder"));
        var recipe = Balanced() with { Calibrate = new("folder", 4, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)) };
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(recipe)));
        failure.Message.ShouldBe("the calibration file 'folder' is a folder; name a file");
    }

    [Fact]
    public void Not_a_number_in_the_calibration_data_is_an_error_that_names_the_layer()
    {
        using (var input = full([200, 24], float.NaN))
        {
            SafetensorsWriter.Write(project.In("nan-data.safetensors"), new Dictionary<string, Tensor> { ["input"] = input });
        }

        var recipe = Balanced() with { Calibrate = new("nan-data.safetensors", 10, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)) };
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(recipe)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenData);
        failure.Diagnostic.Span.Line.ShouldBe(3);
        failure.Message.ShouldContain("'first'");
        failure.Message.ShouldContain("NaN");
    }

    [Fact]
    public void A_cancelled_run_leaves_nothing_half_written()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Should.Throw<OperationCanceledException>(() => project.NewRun().Execute(new TwoLayersPipeline(Balanced()), cancellation: cancelled.Token));
        Directory.Exists(project.In("models")).ShouldBeFalse();
    }

    [Fact]
    public void A_run_leaves_no_live_tensors()
    {
        project.NewRun().Execute(new TwoLayersPipeline(Balanced()));
        long before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        project.NewRun("again", "cache-again").Execute(new TwoLayersPipeline(Balanced()));
        TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBeLessThanOrEqualTo(before);
    }
}
