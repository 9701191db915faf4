using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Reconstruction;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>Training of whole blocks through the engine.</summary>
public sealed class ReconstructionTests : IDisposable
{
    private const int BatchSize = 4;

    private readonly TwoLayersProject project = new();

    private static FlexRound Step(int bits = 3) => new() { Bits = bits, Iterations = 40, BatchSize = BatchSize, LearningRate = 0.01 };

    public void Dispose() => project.Dispose();

    [Fact]
    public void Blocks_are_trained_in_the_order_in_which_the_model_calls_them_and_layers_outside_are_their_own()
    {
        var run = project.NewRun();
        run.Execute(Pipeline());
        Blocks(run).ShouldBe(["way_in", "floors.2", "floors.1", "floors.0", "a_head"]);
        run.Diagnostics.ShouldBeEmpty();
    }

    [Fact]
    public void Layers_can_be_trained_one_by_one()
    {
        var step = Step();
        step.Reconstruct = ReconstructionScope.Layer;
        var run = project.NewRun();
        run.Execute(new TowerPipeline(TowerProject.Recipe(project, ("floors.*.*", [step]))));
        Blocks(run).ShouldBe(["floors.2.up", "floors.2.down", "floors.1.up", "floors.1.down", "floors.0.up", "floors.0.down"]);
    }

    [Fact]
    public void Training_lowers_the_loss_of_every_block_below_that_of_rounding_and_tells_the_held_out_ones()
    {
        var layers = project.NewRun().Execute(Pipeline()).Manifest.Layers;
        foreach (var layer in layers)
        {
            layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossBefore"], layer.Path);
            layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossRounded"], layer.Path);
            layer.Facts["bestStep"].ShouldBeGreaterThan(0);
            new[] { "heldOutBefore", "heldOutAfter", "heldOutRounded" }.ShouldBeSubsetOf(layer.Facts.Keys);
        }
    }

    public static TheoryData<Step> Methods => [Step(), new Vq4Dit { Codewords = 16, Iterations = 40, BatchSize = BatchSize, FreezeShare = 0.3 }, new Vq4Dit { Codewords = 16, Iterations = 40, BatchSize = BatchSize, TuneBias = true }];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Reported_losses_are_those_of_the_stored_model_against_the_original_on_the_same_data(Step step)
    {
        var run = project.NewRun();
        var pipeline = new TowerPipeline(TowerProject.Recipe(project, ("**", [step])));
        var manifest = run.Execute(pipeline).Manifest;
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var stored = ArtifactLoader.Load(pipeline, run.Artifact);
        using var original = TowerProject.Original(project);
        foreach (string block in (string[])["way_in", "floors.2", "floors.1", "floors.0", "a_head"])
        {
            var facts = manifest.Layers.First(layer => BlockPath.Holds(block, layer.Path)).Facts;
            int samples = TowerProject.Rows / BatchSize;
            int heldOut = samples / 8;
            double reported = (((samples - heldOut) * facts["blockLossAfter"]) + (heldOut * facts["heldOutAfter"])) / samples;
            var difference = OutputOf(stored, block) - OutputOf(original, block);
            difference.square().mean().item<float>().ShouldBe((float)reported, (float)reported * 1e-4f, block);
        }
    }

    [Fact]
    public void A_killed_run_goes_on_at_the_block_where_it_stopped_and_leaves_the_same_bytes()
    {
        var whole = project.NewRun("whole", "cache-whole");
        whole.Execute(Pipeline());
        using var stop = new CancellationTokenSource();
        var killed = new Killed(stop, "block small floors.2");
        Should.Throw<OperationCanceledException>(() => new PipelineRunner(
            new() { ProjectDirectory = project.Folder, OutputDirectory = project.In("models"), CacheDirectory = project.In("cache"), CodeFingerprint = "1" }, killed).Run(Pipeline(), stop.Token));
        var resumed = project.NewRun();
        resumed.Execute(Pipeline());
        Blocks(resumed).ShouldBe(["floors.1", "floors.0", "a_head"]);
        resumed.Bytes(ArtifactFiles.Weights).ShouldBe(whole.Bytes(ArtifactFiles.Weights));
        resumed.Bytes(ArtifactFiles.Manifest).ShouldBe(whole.Bytes(ArtifactFiles.Manifest));
    }

    [Fact]
    public void A_second_run_trains_nothing_and_a_changed_block_only_what_comes_after_it()
    {
        project.NewRun().Execute(Pipeline());
        var again = project.NewRun("again");
        again.Execute(Pipeline(), cores: 1);
        Blocks(again).ShouldBeEmpty();
        var changed = project.NewRun("changed", updateLock: true);
        changed.Execute(new TowerPipeline(TowerProject.Recipe(project, ("floors.1.*", [Step(bits: 4)]), ("{way_in,a_head,floors.0.*,floors.2.*}", [Step()]))));
        Blocks(changed).ShouldBe(["floors.1", "floors.0", "a_head"]);
    }

    [Fact]
    public void Changed_code_trains_again()
    {
        project.NewRun().Execute(Pipeline());
        var again = project.NewRun();
        again.Execute(Pipeline(), code: "2");
        Blocks(again).Count().ShouldBe(Tower.Floors + 2);
    }

    [Fact]
    public void Layers_that_are_only_rounded_stay_so_inside_a_trained_block_and_the_original_is_measured_untouched()
    {
        var run = project.NewRun();
        var manifest = run.Execute(new TowerPipeline(TowerProject.Recipe(project, ("floors.*.up", [new Quantize { Bits = 4, GroupSize = 6 }]), ("floors.*.down", [Step()])))).Manifest;
        Blocks(run).ShouldBe(["floors.2", "floors.1", "floors.0"]);
        manifest.Quality!.Before.ShouldBe(1);
        foreach (var layer in manifest.Layers)
        {
            layer.Facts.ContainsKey("blockLossAfter").ShouldBe(layer.Path.EndsWith("down", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Factors_of_a_decomposition_are_trained_too()
    {
        var run = project.NewRun();
        var layers = run.Execute(new TowerPipeline(TowerProject.Recipe(project, ("floors.*.*", [new Decompose { Rank = 7 }, Step(bits: 4)])))).Manifest.Layers;
        foreach (var layer in layers)
        {
            ((string)layer.Weight["form"]!).ShouldBe("product");
            layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossRounded"], layer.Path);
        }
    }

    [Fact]
    public void Tables_and_convolutions_are_trained()
    {
        foreach (var form in Enum.GetValues<FlexRoundForm>())
        {
            var step = Step();
            step.Form = form;
            var layers = project.NewRun(form.ToString()).Execute(new PixelsPipeline(PixelsProject.Recipe(project, ("**", [step])))).Manifest.Layers;
            layers.Count.ShouldBe(4);
            layers.ShouldAllBe(layer => layer.Facts["blockLossAfter"] <= layer.Facts["blockLossBefore"]);
            layers.Count(layer => layer.Facts["bestStep"] > 0).ShouldBeGreaterThanOrEqualTo(3);
        }
    }

    [Fact]
    public void Codebooks_of_linear_layers_and_convolutions_are_trained_and_tell_how()
    {
        var step = new Vq4Dit { Codewords = 32, Width = 2, Iterations = 60, BatchSize = BatchSize };
        foreach (var layer in project.NewRun().Execute(new PixelsPipeline(PixelsProject.Recipe(project, ("{edges,parts,head}", [step])))).Manifest.Layers)
        {
            ((string)layer.Weight["form"]!).ShouldBe("codebook");
            layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossBefore"], layer.Path);
            layer.Facts["fixedShare"].ShouldBeInRange(0, 1);
            layer.Facts["regularisedSteps"].ShouldBeInRange(0, 60);
        }
    }

    [Fact]
    public void Gradients_reach_a_table_through_lookups()
    {
        var step = Step();
        step.Granularity = Granularity.Tensor;
        var layer = project.NewRun().Execute(new PixelsPipeline(PixelsProject.Recipe(project, ("colours", [step])))).Manifest.Layers.Single();
        layer.Facts["blockLossAfter"].ShouldBeLessThan(layer.Facts["blockLossBefore"]);
    }

    [Fact]
    public void A_block_whose_arguments_cannot_be_kept_is_named_and_its_layers_can_be_trained_alone()
    {
        using (var model = new Cells())
        {
            SafetensorsWriter.Write(project.In("cells.safetensors"), model.state_dict());
        }

        CellsPipeline Pipeline(ReconstructionScope scope) => new(TwoLayersProject.Recipe(("**", [new FlexRound { Iterations = 2, Reconstruct = scope }])) with
        {
            Model = typeof(Cells).FullName!,
            Weights = "cells.safetensors",
            Evaluate = null,
        });
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(Pipeline(ReconstructionScope.Block)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.LayerFailed);
        failure.Diagnostic.Span.Line.ShouldBe(10);
        failure.Message.ShouldBe("block 'cells.0' cannot be reconstructed, for one of its arguments is of no kind that can be given to it again: a value of type 'Memory' cannot be kept and passed again; say 'reconstruct: layer'");
        var run = project.NewRun();
        run.Execute(Pipeline(ReconstructionScope.Layer));
        Blocks(run).ShouldBe(["cells.0.fc"]);
    }

    [Fact]
    public void Layers_of_a_block_must_agree_about_its_training()
    {
        var longer = Step();
        longer.Iterations++;
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TowerPipeline(TowerProject.Recipe(project, ("floors.*.up", [Step()]), ("floors.*.down", [longer])))));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        failure.Message.ShouldContain("'floors.2'");
    }

    [Fact]
    public void A_block_called_through_forward_is_reported_by_name()
    {
        var recipe = TwoLayersProject.Recipe(("first", [Step()]));
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(recipe, bypassHooks: true)));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.LayerNotReached);
        failure.Message.ShouldContain("'first'");
    }

    [Fact]
    public void Without_calibration_data_there_is_no_training()
    {
        var failure = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TowerPipeline(TowerProject.Recipe(project, ("**", [Step()])) with { Calibrate = null })));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.MissingSetting);
    }

    [Fact]
    public void A_single_sample_is_trained_on_and_none_is_held_out()
    {
        var recipe = TowerProject.Recipe(project, ("a_head", [Step()]));
        var layer = project.NewRun().Execute(new TowerPipeline(recipe with { Calibrate = recipe.Calibrate! with { Samples = 1 } })).Manifest.Layers[0];
        layer.Facts.ShouldContainKey("blockLossAfter");
        layer.Facts.ShouldNotContainKey("heldOutAfter");
    }

    [Fact]
    public void A_run_leaves_no_live_tensors()
    {
        project.NewRun().Execute(Pipeline());
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        project.NewRun("again", "cache-again").Execute(Pipeline());
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBeLessThanOrEqualTo(before);
    }

    private TowerPipeline Pipeline() => new(TowerProject.Recipe(project, ("**", [Step()])));

    private static IEnumerable<string> Blocks(Run run) => run.Journal.Where(entry => entry.StartsWith("block ", StringComparison.Ordinal)).Select(entry => entry.Split(' ')[2]);

    private static Tensor OutputOf(Tower model, string block)
    {
        var module = model.named_modules().Single(item => item.name == block).module;
        Tensor? seen = null;
        using (ModuleCalls.Of(module)!.WatchResult(result => seen = ((Tensor)result[0]!).clone().MoveToOuterDisposeScope()))
        {
            model.call(TowerProject.Inputs());
        }

        return seen!;
    }

    /// <summary>A model whose block takes an object of its own.</summary>
    private sealed class Cells : nn.Module<Tensor, Tensor>
    {
        private readonly ModuleList<Cell> cells = nn.ModuleList(new Cell());

        public Cells()
            : base(nameof(Cells)) => RegisterComponents();

        public override Tensor forward(Tensor input) => cells[0].call(input, new());
    }

    private sealed class Cell : nn.Module<Tensor, Memory, Tensor>
    {
        private readonly Linear fc = nn.Linear(24, 5);

        public Cell()
            : base(nameof(Cell)) => RegisterComponents();

        public override Tensor forward(Tensor x, Memory memory) => fc.call(x);
    }

    private sealed class Memory;

    private sealed class CellsPipeline(Recipe recipe) : ModelPipeline<Cells>
    {
        public override Recipe Recipe { get; } = recipe;

        public override Cells CreateModel() => new();
    }

    private sealed class Killed(CancellationTokenSource stop, string last) : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic)
        {
        }

        public void Progress(string message)
        {
        }

        public void Record(string entry)
        {
            if (entry == last)
            {
                stop.Cancel();
            }
        }
    }
}
