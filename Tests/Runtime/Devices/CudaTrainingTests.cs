using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Tests.Engine;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Devices;

/// <summary>Training on a GPU against the same on the CPU; left out where there is none.</summary>
[Trait("Category", "Cuda")]
public sealed class CudaTrainingTests : IDisposable
{
    /// <summary>Every adapter, with the layers that it is for.</summary>
    private static readonly Dictionary<string, Step[]> Methods = new(StringComparer.Ordinal)
    {
        ["lora"] = [new Lora { Rank = 2, Dropout = 0.1 }],
        ["dora"] = [new Lora { Rank = 2, WeightDecomposed = true }],
        ["pissa"] = [new Lora { Rank = 2, Start = LoraStart.Pissa }],
        ["olora"] = [new Lora { Rank = 2, Start = LoraStart.Olora }],
        ["corda"] = [new Corda { Rank = 2, Use = CordaUse.Adapter }],
        ["bone"] = [new Bone { Rank = 4 }],
        ["bat"] = [new Bat { Rank = 4 }],
        ["soka"] = [new Soka { MinRank = 1, MaxRank = 2 }],
        ["tlora"] = [new Tlora { Rank = 2 }],
        ["flora"] = [new Flora { Ranks = "2x2" }],
        ["qlora"] = [new NormalFloat { Bits = 4, BlockSize = 8 }, new Lora { Rank = 2 }],
        ["lqLora"] = [new LqLora { Rank = 2, Bits = 4, BlockSize = 8, Weighted = false }],
        ["whole"] = [new FineTune()],
    };

    private readonly TwoLayersProject project = new();

    public static TheoryData<string> Names => [.. Methods.Keys];

    public static TheoryData<TrainingOptimizer> Optimizers => [.. Enum.GetValues<TrainingOptimizer>()];

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void An_adapter_learns_what_it_learns_on_the_CPU(string name) => BothAgree(Recipe(Settings(), Methods[name]));

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void An_optimizer_goes_where_it_goes_on_the_CPU(TrainingOptimizer optimizer)
    {
        var settings = Settings();
        settings.Optimizer = optimizer;
        if (optimizer is TrainingOptimizer.DctAdamW or TrainingOptimizer.GaLore)
        {
            settings.OptimizerRank = 4;
        }

        settings.ErrorFeedback = optimizer == TrainingOptimizer.DctAdamW ? ErrorFeedback.Int8 : ErrorFeedback.None;
        BothAgree(Recipe(settings, [new FineTune()]));
    }

    [Fact]
    public void A_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not()
    {
        RequireGpu();
        var recipe = Recipe(Settings(), [new Lora { Rank = 2, Dropout = 0.2 }]);
        var undisturbed = project.NewRun("undisturbed", "other");
        undisturbed.Execute(new TwoLayersPipeline(recipe), device: "cuda");
        using var cancellation = new CancellationTokenSource();
        Should.Throw<OperationCanceledException>(() => project.NewRun().Execute(new Stopped(recipe, 13, cancellation.Cancel), device: "cuda", cancellation: cancellation.Token));
        var resumed = project.NewRun();
        resumed.Execute(new TwoLayersPipeline(recipe), device: "cuda");
        resumed.Bytes(ArtifactFiles.Weights).ShouldBe(undisturbed.Bytes(ArtifactFiles.Weights));
    }

    [Fact]
    public void An_adapter_is_used_mixed_and_merged_on_the_GPU_as_on_the_CPU()
    {
        RequireGpu();
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var run = project.NewRun();
        run.Execute(new TwoLayersPipeline(Recipe(Settings(), [new Lora { Rank = 2 }])));
        using var here = Model();
        using var there = Model();
        there.to(CUDA);
        var x = randn(7, 24, generator: new Generator(1));
        var (one, other) = (ModelAdapters.Of(here), ModelAdapters.Of(there));
        foreach (var adapters in new[] { one, other })
        {
            adapters.Add("a", run.Artifact).ShouldBeEmpty();
        }

        void Agree() => there.call(x.to(CUDA)).cpu().ShouldBeNear(here.call(x), 1e-3);
        Agree();
        one.Use("a");
        other.Use("a");
        Agree();
        one.Merge();
        other.Merge();
        Agree();
        one.Unmerge();
        other.Unmerge();
        Agree();
    }

    private TwoLayers Model()
    {
        var model = new TwoLayers();
        using var weights = Runtime.Formats.Safetensors.WeightStore.Open(project.In(TwoLayersProject.WeightsFile));
        model.load_state_dict(weights.Names.ToDictionary(name => name, weights.Read));
        return model;
    }

    /// <summary>Products are summed in another order there, and training enlarges that.</summary>
    private void BothAgree(Recipe recipe)
    {
        RequireGpu();
        var here = project.NewRun("here", "here.cache").Execute(new TwoLayersPipeline(recipe)).Manifest;
        var there = project.NewRun("there", "there.cache").Execute(new TwoLayersPipeline(recipe), device: "cuda").Manifest;
        there.Device.ShouldBe("cuda");
        there.Training!.Losses[0].Loss.ShouldBeNear(here.Training!.Losses[0].Loss, 1e-3);
        there.Training.Validation[^1].Loss.ShouldBeNear(here.Training.Validation[^1].Loss, 2e-2);
        here.Training.Validation[^1].Loss.ShouldBeLessThan(here.Training.Validation[0].Loss);
        there.Quality!.After.ShouldBeNear(here.Quality!.After, 2e-2);
    }

    private static TrainAttribute Settings() => new(TwoLayersProject.DataFile)
    {
        Validation = TwoLayersProject.DataFile,
        Steps = 20,
        BatchSize = 20,
        LearningRate = 0.005,
        EvaluateEvery = 5,
        CheckpointEvery = 5,
    };

    private static Recipe Recipe(TrainAttribute settings, Step[] steps) => TwoLayersProject.Recipe(("first", steps)) with
    {
        Train = new(settings, default, TwoLayersProject.Span(20), TwoLayersProject.Span(21)),
        Evaluate = new(TwoLayersProject.DataFile, Metric.Loss, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
    };

    private static void RequireGpu() => Assert.SkipUnless(cuda.is_available(), "there is no CUDA device");

    private sealed class Stopped(Recipe recipe, int batch, Action stop) : ModelPipeline<TwoLayers>
    {
        private int batches;

        public override Recipe Recipe { get; } = recipe;

        public override TwoLayers CreateModel() => new();

        public override Tensor Loss(TwoLayers model, Batch data)
        {
            if (++batches == batch)
            {
                stop();
            }

            return base.Loss(model, data);
        }
    }
}
