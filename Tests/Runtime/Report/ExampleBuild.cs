using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

/// <summary>A build as a small Llama of five blocks gives it: attention decomposed, feed-forward quantised, embeddings decomposed.</summary>
internal static class ExampleBuild
{
    private static readonly (string Name, long Rows, long Columns)[] Projections =
    [
        ("self_attn.q_proj", 64, 64), ("self_attn.k_proj", 32, 64), ("self_attn.v_proj", 32, 64), ("self_attn.o_proj", 64, 64),
        ("mlp.gate_proj", 172, 64), ("mlp.up_proj", 172, 64), ("mlp.down_proj", 64, 172),
    ];

    public static RunFacts Facts { get; } = new(
        [("plan", 0.04), ("statistics", 3.31), ("solve", 1.87), ("write", 0.09), ("evaluate", 2.6)],
        Layers().Where((_, i) => i % 3 != 0).ToDictionary(layer => layer.Path, layer => layer.BytesBefore / 400_000.0),
        Layers().Where((_, i) => i % 3 == 0).Select(layer => layer.Path).ToHashSet());

    public static Manifest Manifest { get; } = new()
    {
        Recipe = "balanced",
        Model = "Stories.StoryLlama",
        Engine = "0.1.0",
        TensorLibrary = "TorchSharp 0.107.0, libtorch 2.10.0",
        Device = "cpu",
        Seed = 42,
        Plan = Digest(1),
        Sources = new(StringComparer.Ordinal)
        {
            ["weights"] = new("weights/stories260K.safetensors", Digest(2), 1_057_792),
            ["tokenizer"] = new("weights/tokenizer.model", Digest(3), 6_227),
            ["calibration"] = new("data/calibration.txt", Digest(4), 204_800),
            ["evaluation"] = new("data/test.txt", Digest(5), 51_200),
        },
        Weights = Digest(6),
        Bytes = new(Layers().Sum(layer => layer.BytesBefore) + (11 * 256), Layers().Sum(layer => layer.BytesAfter) + (11 * 256)),
        Quality = new("perplexity", 12.3061, 12.5757, 0.0219, 0.05),
        Layers = [.. Layers()],
        Kept = [.. Enumerable.Range(0, 5).SelectMany(Norms), new("model.norm.weight", [64], 256)],
        Warnings = ["The calibration text has 41 000 tokens; 64 sequences of 256 repeat some of them."],
    };

    public static AllocationRecord Allocation { get; } = new("200 KB", "predicted", 204_800, 204_512, 101_376, 0.0312, null, 0.0331, "Loss gained by each plan: 3 bits 0.0902; round 1 0.0331.",
    [
        new("model.layers.0.mlp.up_proj", "quantize { bits: 3, groupSize: 32 }", 4_816, 0.0123, "0.0123 of the calibration loss gained; 0.0311 of the energy in its metric given up")
        {
            Chosen = new("3 bits", 4_816, 0.0119),
            Cheaper = new("2 bits", 3_440, 0.0834),
            Dearer = new("4 bits", 6_192, 0.0024),
        },
        new("model.layers.0.self_attn.q_proj", "decompose { rank: 12 } | quantize { bits: 8, groupSize: 32 }", 1_632, 0.0189, "0.0189 of the calibration loss gained; 0.1204 of the energy in its metric given up")
        {
            Chosen = new("rank 12, 8 bits", 1_632, 0.0201),
            Dearer = new("rank 16, 8 bits", 2_176, 0.0144),
        },
    ])
    {
        TradeOff = [new(101_376, 0.212), new(131_072, 0.13), new(172_032, 0.061), new(204_512, 0.032), new(262_144, 0.011), new(327_680, 0.004)],
    };

    public static TheoryData<string> Variants => ["compression", "budget", "training", "analysis", "exports", "sizes", "nothing", "no quality", "failed", "large"];

    /// <summary>A build of another kind.</summary>
    public static Manifest Variant(string name) => name switch
    {
        "compression" => Manifest,
        "budget" => Manifest with { Allocation = Allocation },
        "training" => Manifest with { Training = Training },
        "analysis" => Manifest with { Analysis = Analysis },
        "exports" => Manifest with
        {
            Exports = [new("gguf", [new("export/gguf/model.gguf", Digest(7), 412_000)], ["model.layers.0.mlp.up_proj"], [new("lm_head", "its rows are no multiple of 32")], ["no tokenizer is written"])],
        },
        "sizes" => Manifest with { Elastic = ElasticRecord.Of([new("lm_head", 3, 4_608)], [0, 0], Manifest.Bytes.After) },
        "nothing" => Manifest with { Layers = [], Kept = [], Bytes = new(0, 0), Warnings = [] },
        "no quality" => Manifest with { Quality = null },
        "failed" => Manifest with { Quality = Manifest.Quality! with { After = 13.2291, Regression = 0.075 } },
        "large" => Manifest with { Layers = [.. Layers(blocks: 72, width: 16)], Kept = [.. Enumerable.Range(0, 72).SelectMany(Norms)] },
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such build"),
    };

    private static AnalysisRecord Analysis { get; } = new()
    {
        IntruderDimensions = new("weights/base.safetensors", 10, 0.5, "left", 1, [new("lm_head", 2, 0.03, 0.2, [0.99, 0.31, 0.42], [9, 3, 1])], [new(0.5, 10, 2), new(0.3, 10, 0)], new(0.3, 1, 12.1, 12.4)),
        TalkingHeads = new(["model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.o_proj"], 8, true, 0.125, 192, [new("0.1", "1.3", "query", [0, 2], 0.41, 5.2)], [new("0.1", 0, 0, 1.7)]),
        Files = [new("analysis/channels.csv", Digest(10), 4_000)],
    };

    private static TrainingRecord Training { get; } = new()
    {
        Optimizer = "adamW",
        LearningRate = 3e-3,
        TrainedParameters = 40_960,
        ModelParameters = 264_448,
        Steps = 300,
        PlannedSteps = 600,
        Tokens = 1_228_800,
        KeptStep = 200,
        Losses = [.. Enumerable.Range(1, 30).Select(i => new LossPoint(10 * i, 1 + Math.Exp(-0.1 * i)))],
        Validation = [new(0, 2.01), new(100, 1.41), new(200, 1.29), new(300, 1.33)],
        Adapter = new("LORA", 8, 163_840, [new("adapter/adapter_model.safetensors", Digest(8), 165_000), new("adapter/adapter_config.json", Digest(9), 612)], new(StringComparer.Ordinal) { ["lm_head"] = 0.013 }),
    };

    public static LayerRecord Layer(string path, params double[] spectrum) => Layer(path, "linear", 64, 64, 24, 0.1, spectrum, "decompose { keepRatio: 0, orientation: context, rank: 24 }");

    private static IEnumerable<TensorRecord> Norms(int block) =>
        new[] { $"model.layers.{block}.input_layernorm.weight", $"model.layers.{block}.post_attention_layernorm.weight" }.Select(name => new TensorRecord(name, [64], 256));

    private static IEnumerable<LayerRecord> Layers(int blocks = 5, int width = 1)
    {
        yield return Embedding("model.embed_tokens", 0.142);
        for (int block = 0; block < blocks; block++)
        {
            foreach (var (name, rows, columns) in Projections.Select(layer => (layer.Name, layer.Rows * width, layer.Columns * width)))
            {
                string path = $"model.layers.{block}.{name}";
                double noise = 1 + (0.5 * Math.Sin((block * 7) + (rows / width) + (name.Length * 3)));
                yield return name.StartsWith("mlp", StringComparison.Ordinal)
                    ? Layer(path, "linear", rows, columns, null, 0.031 * noise, [], "quantize { bits: 4, groupSize: 32 }")
                    : Layer(path, "linear", rows, columns, rows == 64 * width ? 20 : 16, 0.16 * noise, Spectrum((int)Math.Min(rows, columns), 0.1 / noise),
                        $"decompose {{ keepRatio: 0, orientation: context, rank: {(rows == 64 * width ? 20 : 16)} }}", "quantize { bits: 8, groupSize: 0 }");
            }
        }

        yield return Embedding("lm_head", 0.009) with { Notes = ["rank 80 exceeds the numerical rank 48; 48 is used"] };
    }

    private static LayerRecord Embedding(string path, double error) =>
        Layer(path, path == "lm_head" ? "linear" : "embedding", 512, 64, 48, error, Spectrum(64, 0.05), "decompose { keepRatio: 0, orientation: weight, rank: 48 }");

    private static LayerRecord Layer(string path, string kind, long rows, long columns, long? rank, double error, double[] spectrum, params string[] steps)
    {
        long before = rows * columns * 4;
        long after = rank is null ? (rows * columns / 2) + (rows * columns / 32 * 4) : (rows + columns) * rank.Value * (steps.Length > 1 ? 1 : 4);
        var facts = new SortedDictionary<string, double>(StringComparer.Ordinal) { ["relativeError"] = error };
        if (rank is not null)
        {
            facts["energyKept"] = 1 - (error * error);
            facts["predictedLoss"] = error * error * rows;
        }

        return new(path, kind, [rows, columns], Digest(path.Length), Digest(path.Length + 1), steps, before, after, false, Weight(rows, columns, rank), facts, spectrum, []);
    }

    private static JsonObject Weight(long rows, long columns, long? rank) => rank is null ? Matrix("grid", rows, columns) : new()
    {
        ["columns"] = columns,
        ["form"] = "product",
        ["parts"] = new JsonArray(Matrix("dense", rows, rank.Value), Matrix("dense", rank.Value, columns)),
        ["rows"] = rows,
    };

    private static JsonObject Matrix(string form, long rows, long columns) => new() { ["columns"] = columns, ["form"] = form, ["rows"] = rows };

    private static double[] Spectrum(int count, double decay) => [.. Enumerable.Range(0, count).Select(i => 9 * Math.Exp(-decay * i) / (1 + (0.2 * i)))];

    private static string Digest(int seed) => Convert.ToHexStringLower([.. Enumerable.Range(0, 32).Select(i => (byte)((i * 37) + (seed * 101)))]);
}
