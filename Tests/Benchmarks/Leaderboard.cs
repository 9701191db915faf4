using System.Globalization;
using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Measurement;
using Stories.Model;

namespace PipelineDsl.Benchmarks;

/// <summary>Every orientation at 80 to 20 % of the linear layers' bytes, with uniform and with allocated ranks, every quantising method at 8 to 2 bits, some with bits allocated in the same bytes, and BitStack: perplexity against bytes.</summary>
/// <remarks>
/// The budget of allocated ranks is the bytes that uniform ranks took; BitStack is one artifact, loaded in the bytes of rounding to nearest. Arguments: names of models (none means all that
/// are at hand), <c>--only METHOD,…</c> for some of the methods, and <c>--measured</c> for ranks by measured sensitivity too, which takes a run over the calibration text for each of 16
/// ranks of each layer. The weights of uniform and of rounded layers are float32 and float16 as their steps store them.
/// </remarks>
internal static class Leaderboard
{
    private const string Layers = "model.layers.**";

    private const string Measured = "--measured";
    private const string Only = "--only";
    private const string BitStackName = "bitStack";
    private const string RecipeName = "leaderboard";
    private const int SequenceLength = 256;

    private static readonly double[] Shares = [0.8, 0.6, 0.4, 0.2];

    /// <summary>Rounding to about 2 bits, from groups of 32 to one scale a matrix; BitStack is loaded in the same bytes.</summary>
    private static readonly Quantize[] TwoBits =
    [
        new() { Bits = 2 },
        new() { Bits = 2, GroupSize = 64 },
        new() { Bits = 2, Granularity = Granularity.Channel },
        new() { Bits = 2, Granularity = Granularity.Tensor },
    ];
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static void Run(string[] arguments)
    {
        var work = Directory.CreateTempSubdirectory("pipelinedsl-");
        try
        {
            var models = LeaderboardModel.All(work.FullName);
            var (names, methods, measured) = Parse(arguments);
            var atHand = models.Select(model => model.Name).Concat(LeaderboardVision.AtHand).ToList();
            if (names.FirstOrDefault(name => !atHand.Contains(name)) is { } unknown)
            {
                throw new FormatException($"there is no model '{unknown}'; at hand are {string.Join(", ", atHand)} (PIPELINEDSL_DATA names the folder of larger ones)");
            }

            var entries = models.Where(model => names.Length == 0 || names.Contains(model.Name)).SelectMany(model => Measure(model, work.FullName, methods, measured)).ToList();
            entries.AddRange(LeaderboardVision.AtHand.Where(name => names.Length == 0 || names.Contains(name)).SelectMany(_ => LeaderboardVision.Measure(work.FullName, methods)));
            var claims = entries.GroupBy(entry => entry.Model).SelectMany(model => LeaderboardClaims.Of([.. model])).ToList();
            claims.ForEach(claim => Console.WriteLine($"{(claim.Holds ? "holds" : "DOES NOT HOLD"),-13} {claim.Model}: {claim.Text} ({claim.Figures})"));
            string folder = Environment.GetEnvironmentVariable("PIPELINEDSL_BENCH") is { Length: > 0 } chosen ? chosen : ".";
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, "leaderboard.json"), JsonSerializer.Serialize(new { entries, claims }, Indented) + "\n");
            File.WriteAllText(Path.Combine(folder, "leaderboard.html"), LeaderboardPage.Write(entries, claims));
            Console.WriteLine($"{claims.Count(claim => claim.Holds)} of {claims.Count} claims hold; written to {Path.GetFullPath(folder)}");
        }
        finally
        {
            work.Delete(recursive: true);
        }
    }

    private static (string[] Models, HashSet<string> Methods, bool Measured) Parse(string[] arguments)
    {
        string[] known = [.. Enum.GetValues<Orientation>().Select(Name), .. LeaderboardMethods.Names, BitStackName, .. LeaderboardVision.Methods];
        var methods = known.ToHashSet(StringComparer.Ordinal);
        var names = arguments.Where(argument => argument != Measured).ToList();
        int only = names.IndexOf(Only);
        if (only >= 0)
        {
            methods = [.. (only + 1 < names.Count ? names[only + 1] : "").Split(',')];
            names.RemoveRange(only, Math.Min(2, names.Count - only));
        }

        return methods.FirstOrDefault(method => !known.Contains(method)) is { } unknown
            ? throw new FormatException($"there is no method '{unknown}'; {Only} takes some of {string.Join(", ", known)}, separated by commas")
            : ([.. names], methods, arguments.Contains(Measured));
    }

    private static IEnumerable<LeaderboardEntry> Measure(LeaderboardModel model, string work, HashSet<string> methods, bool measured)
    {
        string folder = Path.Combine(work, model.Name);
        var original = Compress(model, folder, [new Decompose()], "100%", AllocationMethod.Uniform);
        long layers = original.Layers.Sum(layer => layer.BytesBefore);
        long others = original.Bytes.Before - layers;
        LeaderboardEntry Entry(string method, string allocation, string setting, Manifest result) => Line(method, allocation, setting, result.Bytes.After, result.Quality!.After);
        LeaderboardEntry Line(string method, string allocation, string setting, long whole, double perplexity)
        {
            long bytes = whole - others;
            var entry = new LeaderboardEntry(model.Name, method, allocation, setting, bytes, (double)bytes / layers, perplexity);
            return Print(entry);
        }

        yield return Line("original", "none", "100%", original.Bytes.Before, original.Quality!.Before);
        foreach (var orientation in Enum.GetValues<Orientation>().Where(orientation => methods.Contains(Name(orientation))))
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

        foreach (string method in LeaderboardMethods.Names.Where(methods.Contains))
        {
            foreach (var (bits, step) in LeaderboardMethods.Of(method, model.Config.HiddenSize))
            {
                var alike = Compress(model, folder, [step], null, AllocationMethod.Predicted);
                yield return Entry(method, "none", $"{bits} bit", alike);

                // No plan is smaller than 2 bits for all, and none better than 8 is open.
                if (bits is > 2 and < 8 && LeaderboardMethods.Open.TryGetValue(method, out var open))
                {
                    yield return Entry(method, "predicted", Mixed($"{bits} bit"), Compress(model, folder, [open], $"{alike.Bytes.After} B", AllocationMethod.Predicted));
                }
            }
        }

        if (methods.Contains(BitStackName))
        {
            var sizes = new List<(string Setting, long Bytes)>();
            foreach (var step in TwoBits)
            {
                var nearest = Compress(model, folder, [step], null, AllocationMethod.Predicted);
                string grid = step.Granularity == Granularity.Group ? $"groups of {step.GroupSize}" : $"one scale a {step.Granularity.ToString().ToLowerInvariant()}";
                sizes.Add((step.GroupSize == 32 && step.Granularity == Granularity.Group ? "2 bit" : $"2 bit, {grid}", nearest.Bytes.After));
                if (sizes.Count > 1 || !methods.Contains(LeaderboardMethods.Nearest))
                {
                    yield return Entry(LeaderboardMethods.Nearest, "none", sizes[^1].Setting, nearest);
                }
            }

            foreach (var (setting, bytes, perplexity) in Stacks(model, folder, sizes))
            {
                yield return Line(BitStackName, "none", setting, bytes, perplexity);
            }
        }
    }

    /// <summary>One artifact of stacks, loaded in each size that it has.</summary>
    private static IEnumerable<(string Setting, long Bytes, double Perplexity)> Stacks(LeaderboardModel model, string folder, IEnumerable<(string Setting, long Bytes)> sizes)
    {
        var step = new BitStack { Blocks = 8, Rank = Math.Clamp(model.Config.HiddenSize / 64, 1, 16), ScoringSamples = 4 };
        long smallest = Compress(model, folder, [step], null, AllocationMethod.Predicted).Elastic!.Bytes[0];
        var pipeline = PipelineOf(model, [step], null, AllocationMethod.Predicted);
        var text = TextSource.Open(model.Test, Tokenizer.Open(model.Tokenizer), 0, SequenceLength);
        foreach (var (setting, bytes) in sizes.Where(size => size.Bytes >= smallest))
        {
            using var loaded = ArtifactLoader.Load(pipeline, Path.Combine(folder, "models", RecipeName), bytes);
            yield return (setting, ArtifactLoader.Resize(loaded, bytes), Quality.Measure(pipeline, loaded, text.EvaluationBatches(), Metric.Perplexity));
        }
    }

    /// <summary>The setting of mixed bits in the bytes of the same bits for all layers.</summary>
    public static string Mixed(string alike) => alike + ", mixed";

    private static string Name(Orientation orientation) => orientation == Orientation.Weight ? "svd" : orientation.ToString().ToLowerInvariant();

    private static Pipeline PipelineOf(LeaderboardModel model, Step[] steps, string? budget, AllocationMethod method)
    {
        var nowhere = SourceSpan.StartOf("leaderboard.recipe.yaml");
        return new(new()
        {
            Name = RecipeName,
            Model = typeof(StoryLlama).FullName!,
            Weights = model.Weights,
            Tokenizer = model.Tokenizer,
            Calibrate = new(model.Train, 64, SequenceLength, nowhere, nowhere),
            Evaluate = new(model.Test, Metric.Perplexity, SequenceLength, null, nowhere, nowhere),
            Budget = budget is null ? null : Budget.Parse(budget, nowhere, out _),
            Allocate = method,
            Rules = new([new Rule(Layers, new(steps.Select(step => new PlacedStep(step, default, nowhere))), nowhere)]),
            Span = nowhere,
            WeightsSpan = nowhere,
        }, model.Config);
    }

    /// <summary>An entry on the console.</summary>
    public static LeaderboardEntry Print(LeaderboardEntry entry)
    {
        Console.WriteLine($"{entry.Model,-24} {entry.Method,-12} {entry.Allocation,-10} {entry.Setting,20} {entry.Bytes,10} {entry.Bits,6:0.00} {entry.Share,7:0.0%} {entry.Quality,12:0.000}");
        return entry;
    }

    private static Manifest Compress(LeaderboardModel model, string folder, Step[] steps, string? budget, AllocationMethod method) =>
        Compress(PipelineOf(model, steps, budget, method), folder);

    /// <summary>Compresses a model as a build does.</summary>
    public static Manifest Compress(IModelPipeline pipeline, string folder)
    {
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
        return new PipelineRunner(options, new ErrorsOnly()).Run(pipeline, CancellationToken.None).Manifest;
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
