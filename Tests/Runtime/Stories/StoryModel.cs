using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using Stories.Model;

namespace PipelineDsl.Runtime.Tests.Stories;

/// <summary>A model with the texts that it is calibrated and measured on; compressed by the engine that the build uses.</summary>
/// <remarks>Compiled into the tests and into the benchmarks.</remarks>
internal sealed record StoryModel(LlamaConfig Config, string Weights, string Tokenizer, string Train, string Test)
{
    /// <summary>The layers of all blocks.</summary>
    public const string Blocks = "model.layers.**";

    /// <summary>The shape of gsmbard-4m.</summary>
    public static LlamaConfig GsmBardConfig => new()
    {
        VocabularySize = 2048,
        HiddenSize = 256,
        IntermediateSize = 704,
        Layers = 4,
        Heads = 8,
        KeyValueHeads = 4,
        ContextLength = 256,
        TiedEmbeddings = false,
    };

    /// <summary>The sample's model.</summary>
    /// <param name="folder">The folder that holds the sample's weights and texts.</param>
    public static StoryModel Stories260K(string folder) => new(
        LlamaConfig.Stories260K,
        Path.Combine(folder, "model.safetensors"),
        Path.Combine(folder, "tokenizer.json"),
        Path.Combine(folder, "train.txt"),
        Path.Combine(folder, "test.txt"));

    /// <summary>A model of 4 million parameters.</summary>
    /// <param name="folder">The folder that holds gsmbard-4m and text-tinyshakespeare.</param>
    public static StoryModel GsmBard(string folder) => new(
        GsmBardConfig,
        Path.Combine(folder, "gsmbard-4m", "model.safetensors"),
        Path.Combine(folder, "gsmbard-4m", "tokenizer.json"),
        Path.Combine(folder, "text-tinyshakespeare", "train.txt"),
        Path.Combine(folder, "text-tinyshakespeare", "test.txt"));

    /// <summary>Compresses the blocks and measures perplexity before and after, without a cache.</summary>
    /// <param name="step">What is done to each layer of the blocks.</param>
    /// <param name="samples">Calibration samples of 256 tokens.</param>
    /// <param name="observer">Hears what the engine says, or nobody.</param>
    /// <param name="device"><c>cpu</c> or <c>cuda</c>.</param>
    public Manifest Compress(Step step, int samples = 64, IRunObserver? observer = null, string device = "cpu")
    {
        var folder = Directory.CreateTempSubdirectory("pipelinedsl-");
        try
        {
            var options = new RunOptions
            {
                ProjectDirectory = folder.FullName,
                OutputDirectory = Path.Combine(folder.FullName, "models"),
                CacheDirectory = Path.Combine(folder.FullName, "cache"),
                CodeFingerprint = "",
                Cores = 2,
                Device = device,
            };
            return new PipelineRunner(options, observer ?? new Silence()).Run(new Pipeline(RecipeOf(step, samples), Config), CancellationToken.None).Manifest;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private Recipe RecipeOf(Step step, int samples)
    {
        var nowhere = SourceSpan.StartOf("compression.recipe.yaml");
        return new Recipe
        {
            Name = "compression",
            Model = typeof(StoryLlama).FullName!,
            Weights = Weights,
            Tokenizer = Tokenizer,
            Calibrate = new(Train, samples, 256, nowhere, nowhere),
            Evaluate = new(Test, Metric.Perplexity, 256, null, nowhere, nowhere),
            Rules = new([new Rule(Blocks, new([new PlacedStep(step, default, nowhere)]), nowhere)]),
            Span = nowhere,
            WeightsSpan = nowhere,
        };
    }

    private sealed class Pipeline(Recipe recipe, LlamaConfig config) : ModelPipeline<StoryLlama>
    {
        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new(config);
    }

    private sealed class Silence : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic)
        {
            if (diagnostic.Severity == Severity.Error)
            {
                throw new InvalidOperationException(diagnostic.Message);
            }
        }

        public void Progress(string message)
        {
        }

        public void Record(string entry)
        {
        }
    }
}
