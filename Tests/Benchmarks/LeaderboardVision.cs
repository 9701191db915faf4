using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Tests.Vision;

namespace PipelineDsl.Benchmarks;

/// <summary>The rows of a convolutional network: accuracy of ResNet-20 on a sample of CIFAR-10, its 3 × 3 convolutions factored channel-wise or spatially, or rounded.</summary>
internal static class LeaderboardVision
{
    private const string Name = "resnet20-cifar10";
    private const string Convolutions = "layer*.**.conv*";
    private const string DataVariable = "PIPELINEDSL_DATA";

    private static readonly double[] Shares = [0.8, 0.6, 0.4, 0.2];
    private static readonly int[] Bits = [8, 4, 3, 2];

    private static readonly (string Method, Decompose Step)[] Factored =
    [
        ("svd", new Decompose()),
        ("whitened", new Decompose { Orientation = Orientation.Whitened }),
        ("spatial", new Decompose { ConvForm = ConvForm.SpatialWise }),
    ];

    /// <summary>The model's name, where its weights and images are at hand.</summary>
    public static IEnumerable<string> AtHand => File.Exists(In("cifar10-resnet/resnet20.safetensors")) && File.Exists(In("cifar10-sample/test.bin")) ? [Name] : [];

    /// <summary>Names that are chosen by, beside those of the language models.</summary>
    public static IEnumerable<string> Methods => ["spatial"];

    /// <summary>Its rows.</summary>
    /// <param name="work">A folder for files.</param>
    /// <param name="methods">The methods that are asked for.</param>
    public static IEnumerable<LeaderboardEntry> Measure(string work, IReadOnlySet<string> methods)
    {
        string folder = Path.Combine(work, Name);
        Directory.CreateDirectory(folder);
        CifarImages.Write(In("cifar10-sample/train.bin"), Path.Combine(folder, "train.safetensors"));
        CifarImages.Write(In("cifar10-sample/test.bin"), Path.Combine(folder, "test.safetensors"));
        var original = Compress(folder, new Quantize { Bits = 8 }, null, AllocationMethod.Predicted);
        long layers = original.Layers.Sum(layer => layer.BytesBefore);
        long others = original.Bytes.Before - layers;
        LeaderboardEntry Line(string method, string allocation, string setting, long whole, double accuracy) =>
            Leaderboard.Print(new(Name, method, allocation, setting, whole - others, (double)(whole - others) / layers, accuracy) { HigherIsBetter = true });
        LeaderboardEntry Entry(string method, string allocation, string setting, Manifest result) => Line(method, allocation, setting, result.Bytes.After, result.Quality!.After);

        yield return Line("original", "none", "100%", original.Bytes.Before, original.Quality!.Before);
        foreach (var (method, step) in Factored.Where(item => methods.Contains(item.Method)))
        {
            foreach (double share in Shares)
            {
                string setting = share.ToString("0%", CultureInfo.InvariantCulture);
                var uniform = Compress(folder, step, setting, AllocationMethod.Uniform);
                yield return Entry(method, "uniform", setting, uniform);
                yield return Entry(method, "predicted", setting, Compress(folder, step, $"{uniform.Bytes.After} B", AllocationMethod.Predicted));
            }
        }

        foreach (int bits in Bits.Where(_ => methods.Contains(LeaderboardMethods.Nearest)))
        {
            yield return Entry(LeaderboardMethods.Nearest, "none", $"{bits} bit", Compress(folder, new Quantize { Bits = bits }, null, AllocationMethod.Predicted));
        }
    }

    private static Manifest Compress(string folder, Step step, string? budget, AllocationMethod method)
    {
        var nowhere = SourceSpan.StartOf("leaderboard.recipe.yaml");
        return Leaderboard.Compress(new ResNet20Pipeline(new()
        {
            Name = "leaderboard",
            Model = typeof(ResNet20).FullName!,
            Weights = In("cifar10-resnet/resnet20.safetensors"),
            Calibrate = new("train.safetensors", 100, 2, nowhere, nowhere),
            Evaluate = new("test.safetensors", Metric.Accuracy, 2, null, nowhere, nowhere),
            Budget = budget is null ? null : Budget.Parse(budget, nowhere, out _),
            Allocate = method,
            Rules = new([new Rule(Convolutions, new([new PlacedStep(step, default, nowhere)]), nowhere)]),
            Span = nowhere,
            WeightsSpan = nowhere,
        }), folder);
    }

    private static string In(string relativePath) => Path.Combine(Environment.GetEnvironmentVariable(DataVariable) ?? "", relativePath);
}
