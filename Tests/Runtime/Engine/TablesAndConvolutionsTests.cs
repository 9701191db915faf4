using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>Tables and convolutions through the engine, stored and loaded back.</summary>
public sealed class TablesAndConvolutionsTests : IDisposable
{
    /// <summary>TorchSharp hands out a handle of its own each time an embedding's weight is read, and keeps one of a convolution's bias; none holds more than the model.</summary>
    private const long HandlesOfTorchSharp = 8;

    private readonly TwoLayersProject project = new();

    public static TheoryData<string, (string Match, Step[] Steps)[]> Recipes => new()
    {
        { "plain", [("**", [new Decompose { Rank = 3 }])] },
        { "whitened", [("**", [new Decompose { Rank = 3, Orientation = Orientation.Whitened }])] },
        { "output", [("**", [new Decompose { Rank = 3, Orientation = Orientation.Output }])] },
        { "context and fisher", [("edges", [new Decompose { Rank = 3, Orientation = Orientation.Context }]), ("parts", [new Decompose { Rank = 3, Orientation = Orientation.Fisher }])] },
        { "spatial", [("colours", [new MimicFeatures { Rank = 4 }]), ("{edges,parts}", [new Decompose { Rank = 6, ConvForm = ConvForm.SpatialWise }])] },
        { "mimicked and quantised", [("**", [new MimicFeatures { Rank = 4, PaddingIndex = 0 }, new Quantize { Bits = 8, GroupSize = 4 }])] },
        { "spatial and quantised", [("{edges,parts}", [new Decompose { KeepRatio = 0.5, ConvForm = ConvForm.SpatialWise }, new Quantize { Bits = 8, GroupSize = 4 }])] },
        { "uniform", [("colours", [new MimicFeatures { Rank = 4, Weighting = RowWeighting.Uniform }])] },
        { "codebooks", [("{edges,parts,head}", [new Vq4Dit { Codewords = 32, Width = 2, Tune = CodebookTuning.Layer }])] },
        { "quantised", [("**", [new Quantize { Bits = 8, GroupSize = 4 }])] },
    };

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Recipes))]
    public void The_loaded_model_computes_what_the_stored_expressions_say(string name, (string Match, Step[] Steps)[] rules)
    {
        name.ShouldNotBeEmpty();
        foreach (bool tied in new[] { false, true })
        {
            var pipeline = new PixelsPipeline(PixelsProject.Recipe(project, rules) with { Evaluate = null }, tied);
            var run = project.NewRun();
            var manifest = run.Execute(pipeline).Manifest;
            using var scope = NewDisposeScope();
            using var noGradients = no_grad();
            using var loaded = ArtifactLoader.Load(pipeline, run.Artifact);
            using var expected = Dense(manifest, run.Artifact, tied);
            var pictures = PixelsProject.Pictures();
            loaded.call(pictures).ShouldBeNear(expected.call(pictures), 1e-5);
        }
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Predicted_bytes_are_the_bytes_that_are_stored(string name, (string Match, Step[] Steps)[] rules)
    {
        name.ShouldNotBeEmpty();
        var run = project.NewRun();
        var manifest = run.Execute(new PixelsPipeline(PixelsProject.Recipe(project, rules))).Manifest;
        string locked = File.ReadAllText(project.In("small.recipe.lock.yaml"));
        using var file = SafetensorsFile.Open(Path.Combine(run.Artifact, ArtifactFiles.Weights));
        foreach (var layer in manifest.Layers)
        {
            using var weight = Expression.Read((JsonObject)layer.Weight.DeepClone(), leaf => file.Read(layer.Path + "." + leaf));
            locked.ShouldContain($"bytesAfter: {weight.Bytes},");
        }

        manifest.Bytes.After.ShouldBe(file.Names.Sum(tensor => file.Info(tensor).ByteCount));
    }

    [Fact]
    public void A_table_stays_narrow_in_memory_only_where_the_pipeline_says_so()
    {
        (string, Step[])[] rules = [("colours", [new MimicFeatures { Rank = 4 }])];
        foreach (bool tied in new[] { false, true })
        {
            var pipeline = new PixelsPipeline(PixelsProject.Recipe(project, rules) with { Evaluate = null }, tied);
            var run = project.NewRun();
            run.Execute(pipeline);
            using var loaded = ArtifactLoader.Load(pipeline, run.Artifact);
            loaded.state_dict()["colours.weight"].shape.ShouldBe([Pixels.Colours, tied ? 10 : 4]);
        }
    }

    [Fact]
    public void Access_counts_are_those_of_the_calibration_data()
    {
        var recipe = PixelsProject.Recipe(project, ("colours", [new MimicFeatures { Rank = 4 }]));
        var manifest = project.NewRun().Execute(new PixelsPipeline(recipe)).Manifest;
        using var scope = NewDisposeScope();
        var pictures = PixelsProject.Pictures();
        var seen = cat([.. Enumerable.Range(0, 60).Select(i => pictures[i * 80 / 60].flatten())]);
        using var file = SafetensorsFile.Open(project.In(recipe.Weights));
        var table = file.Read("colours.weight").to(float64);
        var rows = table.index_select(0, seen);
        var centred = rows - rows.mean([0]);
        double[] eigenvalues = linalg.eigvalsh(centred.mT.mm(centred) / rows.shape[0]).data<double>().ToArray();
        manifest.Layers[0].Facts["predictedLoss"].ShouldBeNear(eigenvalues.Take(6).Sum(), 1e-9);
    }

    [Theory]
    [InlineData(Orientation.Whitened)]
    [InlineData(Orientation.Output)]
    public void A_channel_wise_convolution_loses_what_the_plan_of_its_patches_says(Orientation orientation)
    {
        var recipe = PixelsProject.Recipe(project, ("edges", [new Decompose { Rank = 3, Orientation = orientation }])) with { Evaluate = null };
        var pipeline = new PixelsPipeline(recipe);
        var run = project.NewRun();
        var manifest = run.Execute(pipeline).Manifest;
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var loaded = ArtifactLoader.Load(pipeline, run.Artifact);
        using var file = SafetensorsFile.Open(project.In(recipe.Weights));
        var pictures = PixelsProject.Pictures();
        var seen = stack([.. Enumerable.Range(0, 60).Select(i => pictures[i * 80 / 60])]);
        var x = file.Read("colours.weight").index_select(0, seen.flatten()).reshape(60, 9, 8, 10).permute(0, 3, 1, 2);
        var exact = nn.functional.conv2d(x, file.Read("edges.weight"), null, [2, 2], [1, 1]);
        var edges = (nn.Module<Tensor, Tensor>)loaded.named_modules().Single(module => module.name == "edges").module;
        double loss = (edges.call(x) - exact).to(float64).square().sum([1]).mean().item<double>();
        manifest.Layers[0].Facts["predictedLoss"].ShouldBeNear(loss, 1e-4);
    }

    [Fact]
    public void An_orientation_without_a_meaning_is_an_error_at_the_step()
    {
        var recipe = PixelsProject.Recipe(project, ("colours", [new Decompose { Rank = 4, Orientation = Orientation.Fisher }]));
        var run = project.NewRun();
        Should.Throw<RunFailedException>(() => run.Execute(new PixelsPipeline(recipe)));
        run.Diagnostics.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.ContradictorySettings);
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void A_run_leaves_no_tensors_of_its_own(string name, (string Match, Step[] Steps)[] rules)
    {
        name.ShouldNotBeEmpty();
        var pipeline = new PixelsPipeline(PixelsProject.Recipe(project, rules));
        long before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        project.NewRun().Execute(pipeline);
        TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBeLessThanOrEqualTo(before + HandlesOfTorchSharp);
    }

    /// <summary>The model with every weight made dense, read without the loader.</summary>
    private static Pixels Dense(Manifest manifest, string folder, bool tied)
    {
        var model = new Pixels(tied);
        using var file = SafetensorsFile.Open(Path.Combine(folder, ArtifactFiles.Weights));
        var state = model.state_dict();
        foreach (var kept in manifest.Kept)
        {
            state[kept.Name].copy_(file.Read(kept.Name));
        }

        foreach (var layer in manifest.Layers)
        {
            using var weight = Expression.Read((JsonObject)layer.Weight.DeepClone(), leaf => file.Read(layer.Path + "." + leaf));
            state[layer.Path + ".weight"].copy_(weight.Materialize().reshape(state[layer.Path + ".weight"].shape));
            if (!layer.Bias)
            {
                continue;
            }

            var bias = file.Read(layer.Path + ".bias");
            if (state.TryGetValue(layer.Path + ".bias", out var own))
            {
                own.copy_(bias);
                continue;
            }

            var edges = (TorchSharp.Modules.Conv2d)model.named_modules().Single(module => module.name == layer.Path).module;
            edges.bias = new TorchSharp.Modules.Parameter(bias.DetachFromDisposeScope());
        }

        model.eval();
        return model;
    }
}
