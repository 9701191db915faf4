using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Cli.Tests;

/// <summary>Things to look into.</summary>
internal static class Samples
{
    /// <summary>The manifest of a model with one compressed layer.</summary>
    public static Manifest Manifest(string recipe = "tiny") => new()
    {
        Recipe = recipe,
        Model = "Demo.Mlp",
        Engine = "0.1.0",
        TensorLibrary = "0.107.0/2.10.0",
        Device = "cpu",
        Seed = 0,
        Plan = new('a', 64),
        Sources = [],
        Weights = new('b', 64),
        Bytes = new(576, 208),
        Quality = new("perplexity", 6.1, 6.4, 0.04918, 0.1),
        Layers =
        [
            new("fc1", "linear", [16, 8], new('c', 64), new('d', 64), ["decompose { rank: 2 }", "quantize { bits: 8 }"], 512, 128, false, (JsonObject)JsonNode.Parse("""
                { "form": "product", "rows": 16, "columns": 8,
                  "left": { "form": "grid", "bits": 8, "scales": { "form": "dense" } }, "right": { "form": "dense" } }
                """)!, new() { ["relativeError"] = 0.03125 }, [], []),
        ],
        Kept = [new("fc1.bias", [16], 64)],
        Warnings = ["something to know"],
    };
}
