using System.Diagnostics;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Measurement;
using Stories.Model;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>The teller of stories fine-tuned on plays, by the engine that the build uses, without a cache.</summary>
/// <param name="Steps">What each layer of the blocks gets.</param>
/// <param name="Settings">How it is trained.</param>
internal sealed record FineTuning(IReadOnlyList<Step> Steps, TrainAttribute Settings)
{
    private static readonly SourceSpan Nowhere = SourceSpan.StartOf("tuning.recipe.yaml");

    /// <summary>The text that statistics come from, where a step asks for them.</summary>
    public string Calibration { get; init; } = Story("train.txt");

    /// <summary>Plays to train on.</summary>
    public static string TrainText => Play("train.txt");

    /// <summary>Plays that are held out while training.</summary>
    public static string HeldOutText => Play("held.txt");

    /// <summary>Plays to measure on.</summary>
    public static string TestText => Play("test.txt");

    /// <summary>A file of the sample's stories.</summary>
    public static string Story(string file) => Path.Combine(AppContext.BaseDirectory, "Stories", file);

    /// <summary>Trains and measures.</summary>
    public TuningResult Run()
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
                Cores = Environment.ProcessorCount,
            };
            var pipeline = new Pipeline(Recipe());
            var manifest = new PipelineRunner(options, new Silence()).Run(pipeline, CancellationToken.None).Manifest;
            using var model = ArtifactLoader.Load(pipeline, Path.Combine(options.OutputDirectory, "tuning"));
            return new(manifest.Training!, Loss(pipeline, model, Story("test.txt")), Loss(pipeline, model, TestText), pipeline.SecondsPerStep(Settings.Accumulation), manifest.Bytes.After);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>The mean loss of the model as it came on a text.</summary>
    public static double LossBefore(string text)
    {
        var pipeline = new Pipeline(new FineTuning([], new("")).Recipe());
        using var model = new StoryLlama();
        using var weights = Runtime.Formats.Safetensors.WeightStore.Open(Story("model.safetensors"));
        model.load_state_dict(weights.Names.ToDictionary(name => name, weights.Read));
        return Loss(pipeline, model, text);
    }

    private static double Loss(Pipeline pipeline, StoryLlama model, string text) =>
        Quality.Measure(pipeline, model, DataSource.Open(text, Story("tokenizer.json"), 0, 256).EvaluationBatches(), Metric.Loss);

    private static string Play(string part) => Path.Combine(AppContext.BaseDirectory, "Tutor", "shakespeare." + part);

    private Recipe Recipe() => new()
    {
        Name = "tuning",
        Model = typeof(StoryLlama).FullName!,
        Weights = Story("model.safetensors"),
        Tokenizer = Story("tokenizer.json"),
        Calibrate = new(Calibration, 128, 256, Nowhere, Nowhere),
        Train = new(Settings, default, Nowhere, Nowhere),
        Rules = new([new Rule("model.layers.**", new(Steps.Select(step => new PlacedStep(step, default, Nowhere))), Nowhere)]),
        Span = Nowhere,
        WeightsSpan = Nowhere,
    };

    private sealed class Pipeline(Recipe recipe) : ModelPipeline<StoryLlama>
    {
        private readonly List<double> starts = [];
        private readonly Stopwatch watch = Stopwatch.StartNew();

        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new();

        public override Tensor Loss(StoryLlama model, Batch batch)
        {
            if (is_grad_enabled())
            {
                starts.Add(watch.Elapsed.TotalSeconds);
            }

            return base.Loss(model, batch);
        }

        /// <summary>The median time between two steps.</summary>
        public double SecondsPerStep(int accumulation)
        {
            double[] steps = [.. starts.Where((_, i) => i % accumulation == 0)];
            double[] times = [.. steps.Skip(1).Zip(steps, (next, step) => next - step).Order()];
            return times.Length == 0 ? double.NaN : times[times.Length / 2];
        }
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

/// <summary>What fine-tuning came to.</summary>
/// <param name="Training">The curves, and how much was trained.</param>
/// <param name="StoryLoss">The loss on stories, which the model knew before.</param>
/// <param name="PlayLoss">The loss on plays that nobody saw in training.</param>
/// <param name="SecondsPerStep">The median.</param>
/// <param name="Bytes">Of the artifact.</param>
internal sealed record TuningResult(TrainingRecord Training, double StoryLoss, double PlayLoss, double SecondsPerStep, long Bytes);
