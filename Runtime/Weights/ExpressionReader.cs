using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>Rebuilds expressions from descriptions; the one place that knows every form's name.</summary>
internal static class ExpressionReader
{
    public static Expression Read(JsonObject description, Func<string, Tensor> leaf, string prefix) => (string?)description["form"] switch
    {
        "dense" => new Dense(leaf(prefix + "weight")),
        var form => throw new InvalidDataException($"unknown weight form '{form}'"),
    };
}
