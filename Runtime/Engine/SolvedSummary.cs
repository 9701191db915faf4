using System.Text.Json;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Engine;

/// <summary>What is known about a solved layer without its numbers.</summary>
/// <param name="Weight">The form of its weight, as it describes itself.</param>
/// <param name="WeightBytes">Exact bytes of the weight.</param>
/// <param name="BiasBytes">Bytes of the new bias, or null where the old one stays.</param>
/// <param name="Facts">Numbers of the solvers by name.</param>
/// <param name="Spectrum">Singular values in the metric of the decomposition, descending, or nothing.</param>
/// <param name="Notes">What the solvers changed about the request.</param>
internal sealed record SolvedSummary(
    JsonObject Weight,
    long WeightBytes,
    long? BiasBytes,
    SortedDictionary<string, double> Facts,
    IReadOnlyList<double> Spectrum,
    IReadOnlyList<string> Notes)
{
    /// <summary>The tensor that is the bias.</summary>
    public const string BiasName = "bias";

    /// <summary>The entry of the header that tells a solved layer from other files of the cache.</summary>
    public const string MetadataKey = "solution";

    /// <summary>The entry of a file's header that says all this.</summary>
    public KeyValuePair<string, string> ToMetadata() => new(MetadataKey, new JsonObject
    {
        ["bias"] = BiasBytes is not null,
        ["facts"] = JsonSerializer.SerializeToNode(Facts),
        ["notes"] = JsonSerializer.SerializeToNode(Notes),
        ["spectrum"] = JsonSerializer.SerializeToNode(Spectrum),
        ["weight"] = Weight.DeepClone(),
    }.ToJsonString());

    /// <summary>Reads it from a file's header.</summary>
    /// <exception cref="InvalidDataException">There is no such entry.</exception>
    public static SolvedSummary Read(SafetensorsFile file)
    {
        var description = file.Metadata.TryGetValue(MetadataKey, out string? text) && JsonNode.Parse(text) is JsonObject found
            ? found
            : throw new InvalidDataException($"'{file.Path}' holds no solution");
        bool hasBias = (bool)description["bias"]!;
        return new(
            (JsonObject)description["weight"]!.DeepClone(),
            file.Names.Where(name => !hasBias || name != BiasName).Sum(name => file.Info(name).ByteCount),
            hasBias ? file.Info(BiasName).ByteCount : null,
            description["facts"].Deserialize<SortedDictionary<string, double>>()!,
            description["spectrum"].Deserialize<double[]>()!,
            description["notes"].Deserialize<string[]>()!);
    }
}
