using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class TrainingTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public void Dispose() => project.Dispose();

    [Fact]
    public void Adapters_of_every_kind_are_trained_together_and_stored_with_the_model()
    {
        var run = project.NewRun();
        var manifest = run.Execute(new Shifted(Recipe(
            ("first", [new Lora { Rank = 2, Alpha = 4 }]),
            ("second", [new Bone { Rank = 4 }]),
            ("twin", [new FineTune()])))).Manifest;
        run.Diagnostics.ShouldBeEmpty();
        var training = manifest.Training.ShouldNotBeNull();
        training.Validation[^1].Loss.ShouldBeLessThan(training.Validation[0].Loss * 0.8);
        training.TrainedParameters.ShouldBe((2 * (24 + 16)) + (4 * 5) + (24 * 5));
        training.ModelParameters.ShouldBe((24 * 16) + 16 + (16 * 5) + 5 + (24 * 5));
        (training.Steps, training.PlannedSteps, training.Losses.Count).ShouldBe((40, 40, 40));
        manifest.Quality!.After.ShouldBeLessThan(manifest.Quality.Before * 0.8);
        manifest.Layers.ShouldAllBe(layer => layer.Facts["relativeChange"] > 0 && layer.Facts["relativeError"] == 0);
        var adapter = training.Adapter.ShouldNotBeNull();
        (adapter.Type, adapter.Files.Count).ShouldBe(("LORA", 3));
        adapter.Approximated.ShouldBeEmpty("a change of a 24 x 5 matrix has at most rank 5");
        adapter.Files.ShouldAllBe(file => new FileInfo(Path.Combine(run.Artifact, file.Path)).Length == file.Bytes);
        manifest.Sources.Keys.ShouldContain("training");
        manifest.Sources.Keys.ShouldContain("validation");
        run.Journal.ShouldContain("train small steps=40");
        System.Text.Encoding.UTF8.GetString(run.Bytes(ArtifactFiles.HtmlReport)).ShouldContain("How training went");
    }

    [Fact]
    public void The_loaded_artifact_computes_what_was_evaluated()
    {
        var pipeline = new Shifted(Recipe(("**", [new Lora { Rank = 2, WeightDecomposed = true }])));
        var run = project.NewRun();
        var manifest = run.Execute(pipeline).Manifest;
        using var model = ArtifactLoader.Load(pipeline, run.Artifact);
        using var noGradients = no_grad();
        using var data = TensorSource.Open(project.In(TwoLayersProject.DataFile), 0).Rows([.. Enumerable.Range(0, 200).Select(row => (long)row)]);
        using var loss = pipeline.Loss(model, data);
        ((double)loss.item<float>()).ShouldBe(manifest.Quality!.After, 1e-4);
    }

    [Fact]
    public void A_second_run_trains_nothing_and_leaves_the_same_bytes()
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2 }]));
        var first = project.NewRun();
        first.Execute(new Shifted(recipe));
        byte[] weights = first.Bytes(ArtifactFiles.Weights);
        byte[] manifest = first.Bytes(ArtifactFiles.Manifest);
        var second = project.NewRun();
        second.Execute(new Shifted(recipe));
        second.Journal.ShouldNotContain(entry => entry.StartsWith("train ", StringComparison.Ordinal));
        second.Bytes(ArtifactFiles.Weights).ShouldBe(weights);
        second.Bytes(ArtifactFiles.Manifest).ShouldBe(manifest);
        var anew = project.NewRun(cache: "other");
        anew.Execute(new Shifted(recipe));
        anew.Journal.ShouldContain("train small steps=40");
        anew.Bytes(ArtifactFiles.Weights).ShouldBe(weights);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(57)]
    [InlineData(110)]
    public void A_run_that_was_stopped_goes_on_and_leaves_the_same_bytes(int batches)
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2, Dropout = 0.2 }]), ("second", [new Lora { Rank = 2 }]));
        var undisturbed = project.NewRun(cache: "undisturbed");
        undisturbed.Execute(new Shifted(recipe));
        byte[] expected = undisturbed.Bytes(ArtifactFiles.Weights);
        using var cancellation = new CancellationTokenSource();
        Should.Throw<OperationCanceledException>(() => project.NewRun().Execute(new Shifted(recipe, batches, cancellation.Cancel), cancellation: cancellation.Token));
        var resumed = project.NewRun();
        var counted = new Shifted(recipe);
        resumed.Execute(counted);
        resumed.Bytes(ArtifactFiles.Weights).ShouldBe(expected);
        counted.Batches.ShouldBeLessThan(batches < 50 ? 250 : 200);
        Directory.GetFiles(project.In("cache/training")).ShouldBeEmpty();
    }

    [Fact]
    public void An_adapter_stands_on_what_the_steps_before_it_leave()
    {
        var manifest = project.NewRun().Execute(new Shifted(Recipe(("first", [new NormalFloat { Bits = 4, BlockSize = 8 }, new Lora { Rank = 2 }]), ("second", [new Quantize { Bits = 8, GroupSize = 8 }])))).Manifest;
        var first = manifest.Layers[0];
        first.Weight["form"]!.ToString().ShouldBe("sum");
        first.Facts["relativeError"].ShouldBeGreaterThan(0.01, "the error of the four bits");
        manifest.Layers[1].Facts.ShouldNotContainKey("relativeChange");
        manifest.Quality!.After.ShouldBeLessThan(manifest.Quality.Before);
    }

    [Fact]
    public void Factors_of_a_decomposition_can_be_what_is_trained()
    {
        var manifest = project.NewRun().Execute(new Shifted(Recipe(("first", [new Corda { Rank = 4, Use = CordaUse.Adapter }]), ("twin", [new LqLora { Rank = 2, Bits = 4, BlockSize = 8, Weighted = false }])))).Manifest;
        manifest.Training!.TrainedParameters.ShouldBe((4 * (24 + 16)) + (2 * (24 + 5)));
        manifest.Layers.ShouldAllBe(layer => layer.Facts["relativeChange"] > 0);
        manifest.Quality!.After.ShouldBeLessThan(manifest.Quality.Before);
    }

    [Fact]
    public void A_layer_that_the_model_never_calls_is_an_error_at_its_rule()
    {
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new Shifted(Recipe(("first", [new Lora { Rank = 2 }])), bypassHooks: true)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.LayerNotReached);
        failure.Diagnostic.Span.ShouldBe(TwoLayersProject.Span(10));
        failure.Message.ShouldContain("training never reached 'first'");
    }

    [Fact]
    public void Training_that_diverges_is_an_error_and_leaves_the_artifact_before()
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2 }]));
        var before = project.NewRun();
        before.Execute(new Shifted(recipe));
        byte[] weights = before.Bytes(ArtifactFiles.Weights);
        var settings = Settings();
        settings.LearningRate = 1000;
        settings.Optimizer = TrainingOptimizer.Sgd;
        settings.Clip = 0;
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new Shifted(recipe with { Train = recipe.Train! with { Settings = settings } })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.TrainingDiverged);
        failure.Diagnostic.Span.ShouldBe(TwoLayersProject.Span(20));
        before.Bytes(ArtifactFiles.Weights).ShouldBe(weights);
        Directory.GetFileSystemEntries(project.In("models")).ShouldBe([before.Artifact]);
    }

    [Fact]
    public void Training_too_short_for_a_checkpoint_needs_none()
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2 }]));
        var settings = Settings();
        settings.Steps = 2;
        settings.CheckpointEvery = 50;
        project.NewRun().Execute(new Shifted(recipe with { Train = recipe.Train! with { Settings = settings } })).Manifest.Training!.Steps.ShouldBe(2);
    }

    [Fact]
    public void Blocks_that_are_computed_again_are_trained_to_the_same_bytes()
    {
        using var tower = new TwoLayersProject();
        var written = TowerProject.Recipe(tower, ("**", [new Lora { Rank = 2, Dropout = 0.3 }]));
        var recipe = written with { Train = new(new(written.Evaluate!.Data) { Steps = 12, BatchSize = 5, Accumulation = 2, LearningRate = 0.02 }, default, TwoLayersProject.Span(20), TwoLayersProject.Span(21)) };
        var kept = tower.NewRun("kept");
        kept.Execute(new TowerPipeline(recipe)).Manifest.Layers.Count.ShouldBe((2 * Tower.Floors) + 2);
        recipe.Train.Settings.GradientCheckpointing = true;
        var recomputed = tower.NewRun("recomputed");
        recomputed.Execute(new TowerPipeline(recipe));
        recomputed.Journal.ShouldContain("train small steps=12", "it is another training");
        recomputed.Bytes(ArtifactFiles.Weights).ShouldBe(kept.Bytes(ArtifactFiles.Weights));
    }

    [Fact]
    public void A_model_that_repeats_nothing_has_no_blocks_to_compute_again()
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2 }]));
        var settings = Settings();
        settings.GradientCheckpointing = true;
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new Shifted(recipe with { Train = recipe.Train! with { Settings = settings } })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        failure.Diagnostic.Span.ShouldBe(TwoLayersProject.Span(20));
        failure.Message.ShouldContain("repeats none");
    }

    [Fact]
    public void Another_way_of_training_is_another_plan()
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2 }]));
        project.NewRun().Execute(new Shifted(recipe));
        var settings = Settings();
        settings.LearningRate = 0.01;
        var failure = Should.Throw<PipelineException>(() => project.NewRun(locked: true).Execute(new Shifted(recipe with { Train = recipe.Train! with { Settings = settings } })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.PlanDiffersFromLock);
        failure.Message.ShouldContain("train: learningRate 0.02 → 0.01");
    }

    [Fact]
    public void Held_out_data_that_is_the_training_data_is_a_warning()
    {
        var recipe = Recipe(("first", [new Lora { Rank = 2 }]));
        var settings = Settings();
        settings.Validation = settings.Data;
        var run = project.NewRun();
        run.Execute(new Shifted(recipe with { Train = recipe.Train! with { Settings = settings } }));
        run.Diagnostics.ShouldHaveSingleItem().Message.ShouldContain("holds the training data itself");
    }

    [Fact]
    public void A_rank_above_the_width_is_an_error_before_anything_runs()
    {
        var run = project.NewRun();
        Should.Throw<Runtime.Engine.RunFailedException>(() => run.Execute(new Shifted(Recipe(("second", [new Lora { Rank = 6 }])))));
        run.Diagnostics.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.RankTooLarge);
    }

    private Recipe Recipe(params (string Match, Step[] Steps)[] rules)
    {
        using (var scope = NewDisposeScope())
        using (var data = SafetensorsFile.Open(project.In(TwoLayersProject.DataFile)))
        {
            SafetensorsWriter.Write(project.In("held.safetensors"), data.Names.ToDictionary(name => name, name => data.ReadRows(name, 0, 50)));
        }

        return TwoLayersProject.Recipe(rules) with
        {
            Train = new(Settings(), default, TwoLayersProject.Span(20), TwoLayersProject.Span(21)),
            Evaluate = new(TwoLayersProject.DataFile, Metric.Loss, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
        };
    }

    private static TrainAttribute Settings() => new(TwoLayersProject.DataFile) { Validation = "held.safetensors", Steps = 40, BatchSize = 10, Accumulation = 2, LearningRate = 0.02, EvaluateEvery = 10, CheckpointEvery = 6 };

    /// <summary>The class that counts is the next one: what the model knows is of no use, and there is something to learn.</summary>
    private sealed class Shifted(Recipe recipe, int stopAfter = int.MaxValue, Action? stop = null, bool bypassHooks = false) : ModelPipeline<TwoLayers>
    {
        public int Batches { get; private set; }

        public override Recipe Recipe { get; } = recipe;

        public override TwoLayers CreateModel() => new(bypassHooks);

        public override Tensor Loss(TwoLayers model, Batch batch)
        {
            if (++Batches == stopAfter)
            {
                stop?.Invoke();
            }

            using var scope = NewDisposeScope();
            var target = (batch.Target! + 1).remainder(5);
            return nn.functional.cross_entropy(Run(model, batch), target).MoveToOuterDisposeScope();
        }
    }
}
