using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Analysis;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Peft;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class AnalysisTests : IDisposable
{
    private const string BaseFile = "base.safetensors";

    private readonly TwoLayersProject project = new();
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
        project.Dispose();
    }

    [Fact]
    public void Directions_that_training_added_are_counted_and_in_the_report()
    {
        var settings = new IntruderDimensions { TopK = 5, Threshold = 0.7 };
        var run = project.NewRun();
        var manifest = run.Execute(Tuned(settings, ("first", new Lora { Rank = 2, Alpha = 8 }))).Manifest;
        var found = manifest.Analysis.ShouldNotBeNull().IntruderDimensions.ShouldNotBeNull();
        using var expected = NewDisposeScope();
        var findings = new IntruderSearch(settings).Compare(Original("first"), Stored(run, "first"));
        var layer = found.Layers.ShouldHaveSingleItem();
        (layer.Path, layer.Count, found.Base, found.Side).ShouldBe(("first", findings.Count, TwoLayersProject.WeightsFile, "left"));
        layer.MaxCosines.ToArray().ShouldBe([.. findings.MaxCosines.Take(5)], 1e-6);
        found.Counts.Single(count => count is { Threshold: 0.9, TopK: 10 }).Count.ShouldBe(findings.CountAt(0.9, 10));
        findings.Count.ShouldBeGreaterThan(0, "a strong adapter of random directions has some");
        foreach (string report in new[] { ArtifactFiles.HtmlReport, ArtifactFiles.MarkdownReport })
        {
            System.Text.Encoding.UTF8.GetString(run.Bytes(report)).ShouldContain($"{findings.Count} intruder dimension");
        }
    }

    [Fact]
    public void A_second_run_compares_nothing_and_leaves_the_same_bytes()
    {
        var pipeline = Tuned(new IntruderDimensions { Remain = 0.5, Threshold = 0.7 }, ("first", new Lora { Rank = 2, Alpha = 8 }));
        var first = project.NewRun();
        first.Execute(pipeline);
        first.Journal.ShouldContain("intruders small first");
        byte[] manifest = first.Bytes(ArtifactFiles.Manifest);
        byte[] weights = first.Bytes(ArtifactFiles.Weights);
        var second = project.NewRun();
        second.Execute(pipeline);
        second.Journal.ShouldNotContain(entry => entry.StartsWith("intruders", StringComparison.Ordinal) || entry.StartsWith("evaluation", StringComparison.Ordinal));
        second.Bytes(ArtifactFiles.Manifest).ShouldBe(manifest);
        second.Bytes(ArtifactFiles.Weights).ShouldBe(weights);
    }

    [Fact]
    public void What_is_taken_back_is_in_the_model_in_the_adapter_and_in_the_comparison()
    {
        var step = new Lora { Rank = 2, Alpha = 8 };
        var plain = project.NewRun("plain");
        var before = plain.Execute(Tuned(new IntruderDimensions { Threshold = 0.7 }, ("first", step))).Manifest;
        var settings = new IntruderDimensions { Threshold = 0.7, Remain = 0.25 };
        var run = project.NewRun();
        var manifest = run.Execute(Tuned(settings, ("first", step))).Manifest;
        var tuned = Stored(plain, "first");
        var findings = new IntruderSearch(settings).Compare(Original("first"), tuned);
        var mitigation = new IntruderMitigation { Lambda = 0.25 };
        var expected = mitigation.Apply(tuned, findings);
        Distance(Stored(run, "first"), expected).ShouldBeLessThan(1e-5);
        Distance(tuned, expected).ShouldBeGreaterThan(1e-2);

        var record = manifest.Analysis!.IntruderDimensions!.Mitigation.ShouldNotBeNull();
        (record.Remain, record.Layers).ShouldBe((0.25, 1));
        record.Without.ShouldNotBeNull().ShouldBe(before.Quality!.After, 1e-5);
        record.Control.ShouldNotBeNull().ShouldNotBe(manifest.Quality!.After);
        using var folder = PeftFolder.Read(Path.Combine(run.Artifact, ArtifactFiles.Adapter));
        manifest.Training!.Adapter!.Rank.ShouldBe(2 + findings.Count);
        manifest.Training.Adapter.Approximated.ShouldBeEmpty();
        var (a, b) = (folder.Tensors.Single(entry => entry.Name.Contains("lora_A", StringComparison.Ordinal)).Tensor, folder.Tensors.Single(entry => entry.Name.Contains("lora_B", StringComparison.Ordinal)).Tensor);
        Distance(Original("first") + b.mm(a), expected).ShouldBeLessThan(1e-5);
        System.Text.Encoding.UTF8.GetString(run.Bytes(ArtifactFiles.MarkdownReport)).ShouldContain("25.0% of their singular values remain");
    }

    [Fact]
    public void An_adapter_over_few_bits_and_one_without_factors_take_it_up_as_well()
    {
        (string, Step[])[] rules = [("first", [new NormalFloat { Bits = 4, BlockSize = 8 }, new Lora { Rank = 2, Alpha = 8 }]), ("twin", [new Bone { Rank = 4 }])];
        var plain = project.NewRun("plain");
        plain.Execute(Tuned(new IntruderDimensions { Threshold = 0.9 }, rules));
        var settings = new IntruderDimensions { Threshold = 0.9, Remain = 0 };
        var run = project.NewRun();
        var manifest = run.Execute(Tuned(settings, rules)).Manifest;
        manifest.Analysis!.IntruderDimensions!.Layers.Select(layer => layer.Path).ShouldBe(["first", "twin"]);
        foreach (string path in new[] { "first", "twin" })
        {
            var tuned = Stored(plain, path);
            var findings = new IntruderSearch(settings).Compare(Original(path), tuned);
            findings.Count.ShouldBeGreaterThan(0);
            Distance(Stored(run, path), new IntruderMitigation { Lambda = 0 }.Apply(tuned, findings)).ShouldBeLessThan(1e-5);
        }

        manifest.Layers.Single(layer => layer.Path == "first").Weight["form"]!.ToString().ShouldBe("sum", "the bits stay packed");
    }

    [Fact]
    public void A_tuned_checkpoint_is_compared_with_its_base_and_mended_where_no_step_works()
    {
        WriteBase(weight => weight);
        WriteTuned();
        var settings = new IntruderDimensions { Base = BaseFile, TopK = 3, Remain = 0 };
        var run = project.NewRun();
        var manifest = run.Execute(new TwoLayersPipeline(Recipe(settings, ("twin", [new Quantize { Bits = 8, GroupSize = 8 }])))).Manifest;
        var found = manifest.Analysis!.IntruderDimensions!;
        found.Layers.Select(layer => (layer.Path, layer.Count > 0)).ShouldBe([("first", true), ("second", false), ("twin", false)]);
        manifest.Sources["base"].Path.ShouldBe(BaseFile);
        manifest.Layers.Select(layer => (layer.Path, layer.Steps.Count)).ShouldBe([("first", 0), ("second", 0), ("twin", 1)]);
        var findings = new IntruderSearch(settings).Compare(Original("first", BaseFile), Original("first"));
        Distance(Stored(run, "first"), new IntruderMitigation { Lambda = 0 }.Apply(Original("first"), findings)).ShouldBeLessThan(1e-6);
        Distance(Stored(run, "second"), Original("second")).ShouldBe(0);
        File.ReadAllText(Directory.GetFiles(project.Folder, "*.lock.yaml").Single()).ShouldContain("  intruderDimensions: { base: \"base.safetensors\", layers: \"**\", remain: 0");
    }

    [Fact]
    public void A_layer_that_is_to_be_kept_is_kept()
    {
        WriteBase(weight => weight);
        WriteTuned();
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(Recipe(new IntruderDimensions { Base = BaseFile, Remain = 0 }, ("first", [new Keep()])))).Manifest;
        manifest.Layers.ShouldNotContain(layer => layer.Path == "first");
        manifest.Analysis!.IntruderDimensions!.Layers.ShouldContain(layer => layer.Path == "first" && layer.Count > 0, "it is looked at all the same");
    }

    [Fact]
    public void Weights_of_another_model_are_no_base()
    {
        using (var other = SafetensorsFile.Open(project.In(TwoLayersProject.WeightsFile)))
        {
            SafetensorsWriter.Write(project.In(BaseFile), other.Names.Where(name => name != "first.weight").ToDictionary(name => name, other.Read));
        }

        var missing = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Recipe(new IntruderDimensions { Base = BaseFile }, ("first", [new Quantize { Bits = 8 }])))));
        (missing.Diagnostic.Id, missing.Diagnostic.Span.Line).ShouldBe((DiagnosticIds.WeightsDoNotFitModel, 30));
        missing.Message.ShouldContain("holds no 'first.weight'");
        WriteBase(weight => weight.mT);
        var turned = Should.Throw<PipelineException>(() => project.NewRun().Execute(new TwoLayersPipeline(Recipe(new IntruderDimensions { Base = BaseFile }, ("first", [new Quantize { Bits = 8 }])))));
        turned.Diagnostic.Id.ShouldBe(DiagnosticIds.WeightsDoNotFitModel);
        turned.Message.ShouldContain("is [24, 16] in 'base.safetensors' and [16, 24]");
    }

    private static double Distance(Tensor a, Tensor b) => (a.to(float64) - b.to(float64)).norm().item<double>() / b.to(float64).norm().item<double>();

    private Tensor Original(string path, string file = TwoLayersProject.WeightsFile)
    {
        using var weights = SafetensorsFile.Open(project.In(file));
        return weights.Read(path + ".weight");
    }

    private static Tensor Stored(Run run, string path)
    {
        using var weights = SafetensorsFile.Open(Path.Combine(run.Artifact, ArtifactFiles.Weights));
        var layer = ManifestFile.Read(run.Artifact).Layers.Single(layer => layer.Path == path);
        using var weight = Expression.Read(layer.Weight, name => weights.Read($"{path}.{name}"));
        return weight.Materialize();
    }

    private void WriteBase(Func<Tensor, Tensor> change)
    {
        using var weights = SafetensorsFile.Open(project.In(TwoLayersProject.WeightsFile));
        SafetensorsWriter.Write(project.In(BaseFile), weights.Names.ToDictionary(name => name, name => name == "first.weight" ? change(weights.Read(name)).contiguous() : weights.Read(name)));
    }

    /// <summary>The weights with a strong new direction in the first layer, spread over what was there.</summary>
    private void WriteTuned()
    {
        var tuned = new Dictionary<string, Tensor>();
        using (var weights = SafetensorsFile.Open(project.In(TwoLayersProject.WeightsFile)))
        {
            foreach (string name in weights.Names)
            {
                tuned[name] = weights.Read(name);
            }
        }

        tuned["first.weight"] += 20 * (ones(16, 1) / 4).mm(ones(1, 24) / 24);
        SafetensorsWriter.Write(project.In(TwoLayersProject.WeightsFile), tuned);
    }

    private static Recipe Recipe(Analyze analysis, params (string Match, Step[] Steps)[] rules) => TwoLayersProject.Recipe(rules) with
    {
        Analyze = new([new(analysis, default, TwoLayersProject.Span(30))]),
    };

    private Shifted Tuned(Analyze analysis, params (string Match, Step Step)[] rules) => Tuned(analysis, [.. rules.Select(rule => (rule.Match, new[] { rule.Step }))]);

    private Shifted Tuned(Analyze analysis, (string Match, Step[] Steps)[] rules) => new(Recipe(analysis, rules) with
    {
        Train = new(new(TwoLayersProject.DataFile) { Steps = 60, BatchSize = 20, LearningRate = 0.05 }, default, TwoLayersProject.Span(20), TwoLayersProject.Span(21)),
        Evaluate = new(TwoLayersProject.DataFile, Metric.Loss, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
    });

    /// <summary>The class that counts is the next one, so that there is something to learn.</summary>
    private sealed class Shifted(Recipe recipe) : ModelPipeline<TwoLayers>
    {
        public override Recipe Recipe { get; } = recipe;

        public override TwoLayers CreateModel() => new();

        public override Tensor Loss(TwoLayers model, Batch batch)
        {
            using var inner = NewDisposeScope();
            return nn.functional.cross_entropy(Run(model, batch), (batch.Target! + 1).remainder(5)).MoveToOuterDisposeScope();
        }
    }
}
