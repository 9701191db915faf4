using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Measurement;
using Stories.Model;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>One artifact of a real model in many sizes, and what each costs.</summary>
public sealed class BitStackTests(ITestOutputHelper output) : IDisposable
{
    private const int Windows = 16;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("pipelinedsl-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Perplexity_falls_as_the_budget_grows_and_is_below_that_of_rounding_to_two_bits()
    {
        var (stack, artifact, manifest) = Build("stack", new BitStack { Blocks = 4, Rank = 2, ScoringSamples = 2 });
        var sizes = manifest.Elastic!;
        long spread = sizes.Bytes[^1] - sizes.Bytes[0];
        using var model = ArtifactLoader.Load(stack, artifact, sizes.Bytes[0]);
        var measured = new List<double>();
        for (int i = 0; i < 5; i++)
        {
            long used = ArtifactLoader.Resize(model, sizes.Bytes[0] + (spread * i / 4));
            measured.Add(Perplexity(stack, model));
            output.WriteLine($"{used} bytes: {measured[i]:0.000}");
        }

        measured.Zip(measured.Skip(1)).ShouldAllBe(pair => pair.Second <= pair.First);
        foreach (bool symmetric in new[] { true, false })
        {
            var (rounding, rounded, two) = Build(symmetric ? "symmetric" : "asymmetric", new Quantize { Bits = 2, GroupSize = 16, Symmetric = symmetric });
            using var coarse = ArtifactLoader.Load(rounding, rounded);
            double rival = Perplexity(rounding, coarse);
            long used = ArtifactLoader.Resize(model, two.Bytes.After);
            double perplexity = Perplexity(stack, model);
            output.WriteLine($"{two.Bytes.After} bytes: {rival:0.000} with two bits in groups of 16, symmetric {symmetric}; {used} bytes: {perplexity:0.000} as a stack");
            perplexity.ShouldBeLessThan(rival);
        }
    }

    private double Perplexity(Pipeline pipeline, StoryLlama model)
    {
        var text = TextSource.Open(StoryFiles.TestText, StoryFiles.OpenTokenizer(), samples: 0, sequenceLength: 256);
        return Quality.Measure(pipeline, model, text.EvaluationBatches().Take(Windows), Metric.Perplexity);
    }

    private (Pipeline Pipeline, string Artifact, Manifest Manifest) Build(string name, Step step)
    {
        var nowhere = SourceSpan.StartOf(name + ".recipe.yaml");
        var pipeline = new Pipeline(new()
        {
            Name = name,
            Model = typeof(StoryLlama).FullName!,
            Weights = StoryFiles.In("model.safetensors"),
            Tokenizer = StoryFiles.TokenizerPath,
            Calibrate = new(StoryFiles.In("train.txt"), 64, 256, nowhere, nowhere),
            Rules = new([new Rule("model.layers.**", new([new PlacedStep(step, default, nowhere)]), nowhere)]),
            Span = nowhere,
            WeightsSpan = nowhere,
        });
        var options = new RunOptions
        {
            ProjectDirectory = folder.FullName,
            OutputDirectory = Path.Combine(folder.FullName, "models"),
            CacheDirectory = Path.Combine(folder.FullName, "cache"),
            CodeFingerprint = "",
            Cores = 2,
        };
        var manifest = new PipelineRunner(options, new Silence()).Run(pipeline, TestContext.Current.CancellationToken).Manifest;
        return (pipeline, Path.Combine(options.OutputDirectory, name), manifest);
    }

    private sealed class Pipeline(Recipe recipe) : ModelPipeline<StoryLlama>
    {
        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new(LlamaConfig.Stories260K);
    }

    private sealed class Silence : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic) => diagnostic.Severity.ShouldNotBe(Severity.Error);

        public void Progress(string message)
        {
        }

        public void Record(string entry)
        {
        }
    }
}
