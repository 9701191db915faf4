using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class ArtifactLoaderTests : IDisposable
{
    private readonly TwoLayersProject project = new();

    public static TheoryData<string, Step[]> Chains => new()
    {
        { "low rank", [new Decompose { Rank = 3 }] },
        { "low rank whose output mean moves to the bias", [new Decompose { Rank = 3, Orientation = Orientation.Output }] },
        { "grid", [new Quantize { Bits = 4, GroupSize = 8 }] },
        { "grid of low rank", [new Decompose { Rank = 3, Orientation = Orientation.Whitened }, new Quantize { Bits = 8, GroupSize = 8 }] },
        { "adapter", [new Corda { Rank = 3, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved, LoraAlpha = 6 }] },
    };

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Chains))]
    public void The_loaded_model_computes_what_the_stored_expressions_say(string name, Step[] steps)
    {
        name.ShouldNotBeEmpty();
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("**", steps)));
        var run = project.NewRun();
        var result = run.Execute(pipeline);
        using var scope = NewDisposeScope();
        using var loaded = ArtifactLoader.Load(pipeline, run.Artifact);
        using var expected = new TwoLayers();
        FillDense(expected, result.Manifest, Path.Combine(run.Artifact, ArtifactFiles.Weights));
        var x = randn(2, 7, 24, generator: new Generator(3));
        (loaded.call(x) - expected.call(x)).abs().max().item<float>().ShouldBeLessThan(1e-5f);
    }

    [Fact]
    public void An_adapter_leaves_the_function_of_the_layer_unchanged()
    {
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("**", [new Corda { Rank = 3, Use = CordaUse.Adapter }])));
        var run = project.NewRun();
        run.Execute(pipeline);
        using var scope = NewDisposeScope();
        using var loaded = ArtifactLoader.Load(pipeline, run.Artifact);
        using var original = new TwoLayers();
        using var weights = SafetensorsFile.Open(project.In(TwoLayersProject.WeightsFile));
        original.load_state_dict(weights.Names.ToDictionary(item => item, weights.Read));
        var x = randn(4, 24, generator: new Generator(3));
        (loaded.call(x) - original.call(x)).abs().max().item<float>().ShouldBeLessThan(1e-5f);
    }

    [Fact]
    public void An_artifact_of_another_model_is_refused()
    {
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("first", [new Quantize()])));
        var run = project.NewRun();
        run.Execute(pipeline);
        var other = new TwoLayersPipeline(pipeline.Recipe with { Model = "Some.OtherModel" });
        Refusal(() => ArtifactLoader.Load(other, run.Artifact)).ShouldContain("was made for model");
    }

    [Fact]
    public void An_artifact_whose_weights_were_exchanged_is_refused()
    {
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("first", [new Quantize()])));
        var run = project.NewRun();
        run.Execute(pipeline);
        File.Copy(project.In(TwoLayersProject.WeightsFile), Path.Combine(run.Artifact, ArtifactFiles.Weights), overwrite: true);
        Refusal(() => ArtifactLoader.Load(pipeline, run.Artifact)).ShouldContain("is not the file that the manifest was written for");
    }

    [Fact]
    public void An_artifact_of_other_shapes_is_refused()
    {
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("first", [new Quantize()])));
        var run = project.NewRun();
        var result = run.Execute(pipeline);
        var wrong = result.Manifest with { Layers = [result.Manifest.Layers[0] with { Shape = [16, 99] }] };
        File.WriteAllText(Path.Combine(run.Artifact, ArtifactFiles.Manifest), ManifestFile.Write(wrong));
        Refusal(() => ArtifactLoader.Load(pipeline, run.Artifact)).ShouldContain("'first' [16, 99] has no place in the model");
    }

    [Fact]
    public void A_missing_or_damaged_manifest_is_refused()
    {
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(("first", [new Quantize()])));
        Refusal(() => ArtifactLoader.Load(pipeline, project.In("nowhere"))).ShouldContain("there is no artifact");
        Directory.CreateDirectory(project.In("damaged"));
        File.WriteAllText(project.In("damaged/manifest.json"), "{ \"schema\": 1 }");
        Refusal(() => ArtifactLoader.Load(pipeline, project.In("damaged"))).ShouldContain("is damaged");
    }

    private static string Refusal(Action load)
    {
        var failure = Should.Throw<PipelineException>(load);
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.ArtifactRefused);
        return failure.Message;
    }

    /// <summary>Reads the artifact without the loader: every weight made dense and copied in.</summary>
    private static void FillDense(TwoLayers model, Manifest manifest, string path)
    {
        using var noGradients = no_grad();
        using var file = SafetensorsFile.Open(path);
        var state = model.state_dict();
        foreach (var kept in manifest.Kept)
        {
            state[kept.Name].copy_(file.Read(kept.Name));
        }

        foreach (var layer in manifest.Layers)
        {
            using var weight = Expression.Read(layer.Weight, leaf => file.Read(layer.Path + "." + leaf));
            state[layer.Path + ".weight"].copy_(weight.Materialize());
            if (layer.Bias && state.TryGetValue(layer.Path + ".bias", out var bias))
            {
                bias.copy_(file.Read(layer.Path + ".bias"));
            }
            else if (layer.Bias)
            {
                state["second.bias"].add_(file.Read(layer.Path + ".bias"));
            }
        }
    }
}
