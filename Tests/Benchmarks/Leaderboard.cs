using System.Globalization;
using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using Stories.Model;

namespace PipelineDsl.Benchmarks;

/// <summary>Every orientation at 80 to 20 % of the linear layers' bytes, with uniform and with allocated ranks, beside rounding to few bits: perplexity against bytes.</summary>
/// <remarks>
/// The budget of allocated ranks is the bytes that uniform ranks took. Arguments: names of models (none means all that are at hand), and <c>--measured</c>
/// for ranks by measured sensitivity too, which takes a run over the calibration text for each of 16 ranks of each layer.
/// </remarks>
internal static class Leaderboard
{
    private const string Layers = "model.layers.**";

    private const string Measured = "--measured";

    private static readonly double[] Shares = [0.8, 0.6, 0.4, 0.2];
    private static readonly int[] Bits = [8, 4, 3, 2];
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static void Run(string[] arguments)
    {
        var work = Directory.CreateTempSubdirectory("pipelinedsl-");
        try
        {
            var models = LeaderboardModel.All(work.FullName);
            bool measured = arguments.Contains(Measured);
            string[] names = [.. arguments.Where(argument => argument != Measured)];
            if (names.FirstOrDefault(name => models.All(model => model.Name != name)) is { } unknown)
            {
                throw new FormatException($"there is no model '{unknown}'; at hand are {string.Join(", ", models.Select(model => model.Name))} (PIPELINEDSL_DATA names the folder of larger ones)");
            }

            var entries = models.Where(model => names.Length == 0 || names.Contains(model.Name)).SelectMany(model => Measure(model, work.FullName, measured)).ToList();
            string folder = Environment.GetEnvironmentVariable("PIPELINEDSL_BENCH") is { Length: > 0 } chosen ? chosen : ".";
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, "leaderboard.json"), JsonSerializer.Serialize(entries, Indented) + "\n");
            File.WriteAllText(Path.Combine(folder, "leaderboard.html"), LeaderboardPage.Write(entries));
            Console.WriteLine($"written to {Path.GetFullPath(folder)}");
        }
        finally
        {
            work.Delete(recursive: true);
        }
    }

    private static IEnumerable<LeaderboardEntry> Measure(LeaderboardModel model, string work, bool measured)
    {
        string folder = Path.Combine(work, model.Name);
        var original = Compress(model, folder, [new Decompose()], "100%", AllocationMethod.Uniform);
        long layers = original.Layers.Sum(layer => layer.BytesBefore);
        long others = original.Bytes.Before - layers;
        LeaderboardEntry Entry(string method, string allocation, string setting, Manifest result)
        {
            long bytes = result.Bytes.After - others;
            var entry = new LeaderboardEntry(model.Name, method, allocation, setting, bytes, (double)bytes / layers, result.Quality!.After);
            Console.WriteLine($"{entry.Model,-24} {entry.Method,-10} {entry.Allocation,-10} {entry.Setting,7} {entry.Bytes,10} {entry.Share,7:0.0%} {entry.Perplexity,12:0.000}");
            return entry;
        }

        yield return Entry("original", "none", "100%", original);
        foreach (var orientation in Enum.GetValues<Orientation>())
        {
            foreach (double share in Shares)
            {
                string setting = share.ToString("0%", CultureInfo.InvariantCulture);
                Step[] steps = [new Decompose { Orientation = orientation }];
                var uniform = Compress(model, folder, steps, setting, AllocationMethod.Uniform);
                yield return Entry(Name(orientation), "uniform", setting, uniform);
                yield return Entry(Name(orientation), "predicted", setting, Compress(model, folder, steps, $"{uniform.Bytes.After} B", AllocationMethod.Predicted));
                if (measured && orientation == Orientation.Whitened)
                {
                    yield return Entry(Name(orientation), "measured", setting, Compress(model, folder, steps, $"{uniform.Bytes.After} B", AllocationMethod.Measured));
                }
            }
        }

        foreach (int bits in Bits)
        {
            yield return Entry("rtn", "none", $"{bits} bit", Compress(model, folder, [new Quantize { Bits = bits, GroupSize = 32 }], null, AllocationMethod.Predicted));
        }
    }

    private static string Name(Orientation orientation) => orientation == Orientation.Weight ? "svd" : orientation.ToString().ToLowerInvariant();

    private static Manifest Compress(LeaderboardModel model, string folder, Step[] steps, string? budget, AllocationMethod method)
    {
        var nowhere = SourceSpan.StartOf("leaderboard.recipe.yaml");
        var recipe = new Recipe
        {
            Name = "leaderboard",
            Model = typeof(StoryLlama).FullName!,
            Weights = model.Weights,
            Tokenizer = model.Tokenizer,
            Calibrate = new(model.Train, 64, 256, nowhere, nowhere),
            Evaluate = new(model.Test, Metric.Perplexity, 256, null, nowhere, nowhere),
            Budget = budget is null ? null : Budget.Parse(budget, nowhere, out _),
            Allocate = method,
            Rules = new([new Rule(Layers, new(steps.Select(step => new PlacedStep(step, default, nowhere))), nowhere)]),
            Span = nowhere,
            WeightsSpan = nowhere,
        };
        var options = new RunOptions
        {
            ProjectDirectory = folder,
            OutputDirectory = Path.Combine(folder, "models"),
            CacheDirectory = Path.Combine(folder, "cache"),
            CodeFingerprint = "",
            Cores = Environment.ProcessorCount,
            UpdateLock = true,
        };
        Directory.CreateDirectory(folder);
        return new PipelineRunner(options, new ErrorsOnly()).Run(new Pipeline(recipe, model.Config), CancellationToken.None).Manifest;
    }

    private sealed class Pipeline(Recipe recipe, LlamaConfig config) : ModelPipeline<StoryLlama>
    {
        public override Recipe Recipe { get; } = recipe;

        public override StoryLlama CreateModel() => new(config);
    }

    private sealed class ErrorsOnly : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic)
        {
            if (diagnostic.Severity == Severity.Error)
            {
                Console.Error.WriteLine(diagnostic);
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
