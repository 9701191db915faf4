using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>One artifact of stacked layers, loaded in many sizes.</summary>
public sealed class ElasticModelTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public static TheoryData<StackOrder, bool, bool> Kinds => new MatrixTheoryData<StackOrder, bool, bool>(Enum.GetValues<StackOrder>(), [true, false], [true, false]);

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_size_fits_its_budget_and_computes_what_its_blocks_say(StackOrder order, bool scaleWeight, bool plain)
    {
        var (pipeline, artifact, manifest) = Build(new BitStack { Blocks = 4, Rank = 1, Order = order, ScoringSamples = 20, ScaleWeight = scaleWeight, Plain = plain });
        var sizes = manifest.Elastic.ShouldNotBeNull();
        sizes.Bytes.Count.ShouldBe(1 + (3 * sizes.Layers.Count));
        sizes.Bytes[^1].ShouldBe(manifest.Bytes.After);
        sizes.Bytes.Zip(sizes.Bytes.Skip(1)).ShouldAllBe(pair => pair.First < pair.Second);
        using var scope = NewDisposeScope();
        var x = Inputs();
        foreach (int size in new[] { 0, 3, sizes.Order.Count })
        {
            using var model = ArtifactLoader.Load(pipeline, artifact, sizes.Bytes[size]);
            using var expected = Dense(artifact, manifest, sizes.BlocksAt(size));
            Compare.SameBits(model.call(x), expected.call(x)).ShouldBeTrue();
        }
    }

    [Fact]
    public void A_model_shrinks_and_grows_in_place_to_the_same_bits()
    {
        var (pipeline, artifact, manifest) = Build(Small);
        var sizes = manifest.Elastic!;
        using var scope = NewDisposeScope();
        using var model = ArtifactLoader.Load(pipeline, artifact);
        var x = Inputs();
        var whole = model.call(x);
        ArtifactLoader.Resize(model, sizes.Bytes[4] + 1).ShouldBe(sizes.Bytes[4]);
        var shrunk = model.call(x);
        Compare.SameBits(shrunk, whole).ShouldBeFalse();
        ArtifactLoader.Resize(model, sizes.Bytes[0]).ShouldBe(sizes.Bytes[0]);
        ArtifactLoader.Resize(model, sizes.Bytes[4]).ShouldBe(sizes.Bytes[4]);
        Compare.SameBits(model.call(x), shrunk).ShouldBeTrue();
        ArtifactLoader.Resize(model, long.MaxValue).ShouldBe(manifest.Bytes.After);
        Compare.SameBits(model.call(x), whole).ShouldBeTrue();
    }

    [Fact]
    public void Resizing_leaves_no_tensors_behind()
    {
        var (pipeline, artifact, manifest) = Build(Small);
        using var model = ArtifactLoader.Load(pipeline, artifact);
        ArtifactLoader.Resize(model, manifest.Elastic!.Bytes[0]);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        ArtifactLoader.Resize(model, manifest.Elastic.Bytes[5]);
        ArtifactLoader.Resize(model, manifest.Elastic.Bytes[1]);
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Fact]
    public void A_budget_below_the_smallest_size_is_refused_with_that_size()
    {
        var (pipeline, artifact, manifest) = Build(Small);
        long least = manifest.Elastic!.Bytes[0];
        Refusal(() => ArtifactLoader.Load(pipeline, artifact, least - 1)).ShouldContain($"at least {least} bytes");
        using var model = ArtifactLoader.Load(pipeline, artifact);
        using var scope = NewDisposeScope();
        var before = model.call(Inputs());
        Refusal(() => ArtifactLoader.Resize(model, least - 1)).ShouldContain($"at least {least} bytes");
        Compare.SameBits(model.call(Inputs()), before).ShouldBeTrue();
    }

    [Fact]
    public void An_artifact_without_stacks_has_one_size()
    {
        var (pipeline, artifact, manifest) = Build(new Quantize { Bits = 4 });
        manifest.Elastic.ShouldBeNull();
        Refusal(() => ArtifactLoader.Load(pipeline, artifact, manifest.Bytes.After - 1)).ShouldContain($"at least {manifest.Bytes.After} bytes");
        using var model = ArtifactLoader.Load(pipeline, artifact, manifest.Bytes.After);
        Should.Throw<ArgumentException>(() => ArtifactLoader.Resize(model, manifest.Bytes.After)).Message.ShouldContain("bitStack");
    }

    [Fact]
    public void An_artifact_that_was_replaced_since_is_refused()
    {
        var (pipeline, artifact, manifest) = Build(Small);
        using var model = ArtifactLoader.Load(pipeline, artifact);
        File.Copy(project.In(TwoLayersProject.WeightsFile), Path.Combine(artifact, ArtifactFiles.Weights), overwrite: true);
        Refusal(() => ArtifactLoader.Resize(model, manifest.Elastic!.Bytes[0])).ShouldContain("is not the file");
    }

    [Fact]
    public void A_damaged_table_of_sizes_is_refused()
    {
        var (pipeline, artifact, manifest) = Build(Small);
        var sizes = manifest.Elastic!;
        ElasticRecord[] damaged =
        [
            sizes with { Order = [.. sizes.Order.Skip(1)] },
            sizes with { Order = [99, .. sizes.Order.Skip(1)] },
            sizes with { Bytes = [.. sizes.Bytes.Select(bytes => bytes - 1)] },
            sizes with { Layers = [sizes.Layers[0] with { Path = "nowhere" }, .. sizes.Layers.Skip(1)] },
        ];
        foreach (var table in damaged)
        {
            File.WriteAllText(Path.Combine(artifact, ArtifactFiles.Manifest), ManifestFile.Write(manifest with { Elastic = table }));
            Refusal(() => ArtifactLoader.Load(pipeline, artifact)).ShouldContain("does not fit");
        }
    }

    [Fact]
    public void Scores_come_from_the_cache_and_the_evaluation_sees_the_original_model()
    {
        var recipe = TwoLayersProject.Recipe(("**", [Small]));
        var first = project.NewRun();
        var quality = first.Execute(new TwoLayersPipeline(recipe)).Manifest.Quality!;
        quality.Before.ShouldBe(1);
        first.Journal.ShouldContain("scores small evaluations=9");
        byte[] manifest = first.Bytes(ArtifactFiles.Manifest);
        var second = project.NewRun();
        second.Execute(new TwoLayersPipeline(recipe));
        second.Journal.ShouldBe(["recipe small solved=0 cached=3"]);
        second.Bytes(ArtifactFiles.Manifest).ShouldBe(manifest);
    }

    [Fact]
    public void Stacks_of_several_heights_and_other_layers_share_an_artifact()
    {
        var recipe = TwoLayersProject.Recipe(("first", [new BitStack { Blocks = 3, Rank = 2 }]), ("second", [new BitStack { Blocks = 1, Rank = 1 }]), ("twin", [new Quantize()]));
        var run = project.NewRun();
        var sizes = run.Execute(new TwoLayersPipeline(recipe)).Manifest.Elastic.ShouldNotBeNull();
        sizes.Layers.Select(layer => (layer.Path, layer.Blocks)).ShouldBe([("first", 3), ("second", 1)]);
        sizes.Order.ShouldBe([0, 0]);
    }

    [Fact]
    public void Layers_that_want_different_orders_are_refused()
    {
        var recipe = TwoLayersProject.Recipe(("first", [Small]), ("twin", [new BitStack { Blocks = 4, Rank = 1, ScoringSamples = 21 }]));
        var run = project.NewRun();
        Should.Throw<RunFailedException>(() => run.Execute(new TwoLayersPipeline(recipe)));
        var problem = run.Diagnostics.ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        problem.Span.Line.ShouldBe(11);
    }

    [Fact]
    public void Blocks_without_calibration_data_cannot_be_ordered()
    {
        var recipe = TwoLayersProject.Recipe(("**", [new BitStack { Blocks = 2, Rank = 1, ScaleWeight = false }])) with { Calibrate = null };
        Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(recipe))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingSetting);
    }

    private static BitStack Small => new() { Blocks = 4, Rank = 1, ScoringSamples = 20 };

    private static Tensor Inputs() => randn(7, 24, generator: new Generator(3));

    private static string Refusal(Action load)
    {
        var failure = Should.Throw<PipelineException>(load);
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.ArtifactRefused);
        return failure.Message;
    }

    private (TwoLayersPipeline Pipeline, string Artifact, Manifest Manifest) Build(Step step)
    {
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("**", [step])));
        var run = project.NewRun();
        return (pipeline, run.Artifact, run.Execute(pipeline).Manifest);
    }

    /// <summary>Reads the artifact without the loader: the last blocks dropped, every weight made dense and copied in.</summary>
    private static TwoLayers Dense(string artifact, Manifest manifest, int[] blocks)
    {
        using var noGradients = no_grad();
        using var file = SafetensorsFile.Open(Path.Combine(artifact, ArtifactFiles.Weights));
        var model = new TwoLayers();
        var state = model.state_dict();
        foreach (var kept in manifest.Kept)
        {
            state[kept.Name].copy_(file.Read(kept.Name));
        }

        foreach (var (layer, count) in manifest.Layers.Zip(blocks))
        {
            using var whole = Expression.Read(layer.Weight, leaf => file.Read(layer.Path + "." + leaf));
            using var part = Stack.Part(whole, count);
            state[layer.Path + ".weight"].copy_(part.Materialize());
        }

        return model;
    }
}
