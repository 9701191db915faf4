using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using Stories.Model;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>What compression costs real models, through the engine that the build uses.</summary>
public sealed class CompressionTests(ITestOutputHelper output)
{
    private const string Blocks = "model.layers.**";

    [Fact]
    public void On_stories260k_each_data_driven_orientation_beats_plain_svd_at_half_the_parameters() =>
        CompareOrientations(StoryModel.Stories260K());

    [Fact]
    public void On_gsmbard_each_data_driven_orientation_beats_plain_svd_at_half_the_parameters() =>
        CompareOrientations(StoryModel.GsmBard());

    [Fact]
    public void Eight_bits_in_groups_of_32_cost_less_than_half_a_percent() =>
        Quantized(8).Regression.ShouldBeLessThan(0.005);

    [Fact]
    public void Four_bits_in_groups_of_32_cost_less_than_15_percent() =>
        Quantized(4).Regression.ShouldBeLessThan(0.15);

    private QualityRecord Quantized(int bits)
    {
        var quality = StoryModel.Stories260K().Compress(new Quantize { Bits = bits, GroupSize = 32 }, Blocks);
        output.WriteLine($"{bits} bits: {quality.Before:0.000} -> {quality.After:0.000} ({quality.Regression:+0.0%;-0.0%})");
        return quality;
    }

    private void CompareOrientations(StoryModel model)
    {
        var perplexity = Enum.GetValues<Orientation>().ToDictionary(
            orientation => orientation,
            orientation => model.Compress(new Decompose { KeepRatio = 0.5, Orientation = orientation }, Blocks).After);
        foreach (var (orientation, value) in perplexity)
        {
            output.WriteLine($"{orientation}: {value:0.00}");
        }

        perplexity[Orientation.Whitened].ShouldBeLessThan(perplexity[Orientation.Weight]);
        perplexity[Orientation.Context].ShouldBeLessThan(perplexity[Orientation.Weight]);
        perplexity[Orientation.Fisher].ShouldBeLessThan(perplexity[Orientation.Weight]);
    }

    /// <summary>A model with the texts that it is calibrated and measured on.</summary>
    private sealed record StoryModel(LlamaConfig Config, string Weights, string Tokenizer, string Train, string Test)
    {
        public static StoryModel Stories260K() => new(LlamaConfig.Stories260K, StoryFiles.In("model.safetensors"), StoryFiles.TokenizerPath, StoryFiles.In("train.txt"), StoryFiles.TestText);

        public static StoryModel GsmBard() => new(
            PerplexityTests.GsmBard,
            StoryFiles.Large("gsmbard-4m/model.safetensors"),
            StoryFiles.Large("gsmbard-4m/tokenizer.json"),
            StoryFiles.Large("text-tinyshakespeare/train.txt"),
            StoryFiles.Large("text-tinyshakespeare/test.txt"));

        public QualityRecord Compress(Step step, string match)
        {
            var folder = Directory.CreateTempSubdirectory("pipelinedsl-");
            try
            {
                var nowhere = SourceSpan.StartOf("compression.recipe.yaml");
                var recipe = new Recipe
                {
                    Name = "compression",
                    Model = typeof(StoryLlama).FullName!,
                    Weights = Weights,
                    Tokenizer = Tokenizer,
                    Calibrate = new(Train, 64, 256, nowhere, nowhere),
                    Evaluate = new(Test, Metric.Perplexity, 256, null, nowhere, nowhere),
                    Rules = new([new Rule(match, new([new PlacedStep(step, default, nowhere)]), nowhere)]),
                    Span = nowhere,
                    WeightsSpan = nowhere,
                };
                var options = new RunOptions
                {
                    ProjectDirectory = folder.FullName,
                    OutputDirectory = Path.Combine(folder.FullName, "models"),
                    CacheDirectory = Path.Combine(folder.FullName, "cache"),
                    CodeFingerprint = "",
                    Cores = 2,
                };
                return new PipelineRunner(options, new Silence()).Run(new Pipeline(recipe, Config), CancellationToken.None).Manifest.Quality!;
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }
    }

    private sealed class Pipeline(Recipe recipe, LlamaConfig config) : ModelPipeline<StoryLlama>
    {
        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new(config);
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
