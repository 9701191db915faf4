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
        Kept = [.. Enumerable.Range(0, 5).SelectMany(i => new[] { $"model.layers.{i}.input_layernorm.weight", $"model.layers.{i}.post_attention_layernorm.weight" })
            .Append("model.norm.weight").Select(name => new TensorRecord(name, [64], 256))],
        Warnings = ["The calibration text has 41 000 tokens; 64 sequences of 256 repeat some of them."],
    };

    public static LayerRecord Layer(string path, params double[] spectrum) => Layer(path, "linear", 64, 64, 24, 0.1, spectrum, "decompose { keepRatio: 0, orientation: context, rank: 24 }");

    private static IEnumerable<LayerRecord> Layers()
    {
        yield return Embedding("model.embed_tokens", 0.142);
        for (int block = 0; block < 5; block++)
        {
            foreach (var (name, rows, columns) in Projections)
            {
                string path = $"model.layers.{block}.{name}";
                double noise = 1 + (0.5 * Math.Sin((block * 7) + rows + (name.Length * 3)));
                yield return name.StartsWith("mlp", StringComparison.Ordinal)
                    ? Layer(path, "linear", rows, columns, null, 0.031 * noise, [], "quantize { bits: 4, groupSize: 32 }")
                    : Layer(path, "linear", rows, columns, rows == 64 ? 20 : 16, 0.16 * noise, Spectrum((int)Math.Min(rows, columns), 0.1 / noise),
                        $"decompose {{ keepRatio: 0, orientation: context, rank: {(rows == 64 ? 20 : 16)} }}", "quantize { bits: 8, groupSize: 0 }");
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
