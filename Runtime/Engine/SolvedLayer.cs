using System.Text.Json;
using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>The result of a layer's whole chain of steps, as the cache holds it.</summary>
/// <param name="Weight">The new weight.</param>
/// <param name="Bias">The new bias, or null where the old one stays.</param>
/// <param name="Facts">Numbers of the solvers by name.</param>
/// <param name="Spectrum">Singular values in the metric of the decomposition, descending, or nothing.</param>
/// <param name="Notes">What the solvers changed about the request.</param>
internal sealed record SolvedLayer(
    Expression Weight,
    Tensor? Bias,
    SortedDictionary<string, double> Facts,
    IReadOnlyList<double> Spectrum,
    IReadOnlyList<string> Notes) : IDisposable
{
    /// <summary>The entry of the header that tells a solved layer from other files of the cache.</summary>
    public const string MetadataKey = "solution";

    private const string BiasName = "bias";

    /// <summary>Writes the result to a safetensors file.</summary>
    public void Write(string path)
    {
        var description = new JsonObject
        {
            ["bias"] = Bias is not null,
            ["facts"] = JsonSerializer.SerializeToNode(Facts),
            ["notes"] = JsonSerializer.SerializeToNode(Notes),
            ["spectrum"] = JsonSerializer.SerializeToNode(Spectrum),
            ["weight"] = Weight.Describe(),
        };
        SafetensorsWriter.Write(path, Tensors().Select(item => KeyValuePair.Create(item.Name, item.Tensor)), new Dictionary<string, string> { [MetadataKey] = description.ToJsonString() });
    }

    /// <summary>Reads a result; the caller owns it.</summary>
    /// <exception cref="InvalidDataException">The file is not what <see cref="Write"/> leaves.</exception>
    public static SolvedLayer Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        var description = file.Metadata.TryGetValue(MetadataKey, out string? text) && JsonNode.Parse(text) is JsonObject found
            ? found
            : throw new InvalidDataException($"'{path}' holds no solution");
        return new(
            Expression.Read((JsonObject)description["weight"]!, file.Read),
            (bool)description["bias"]! ? file.Read(BiasName) : null,
            description["facts"].Deserialize<SortedDictionary<string, double>>()!,
            description["spectrum"].Deserialize<double[]>()!,
            description["notes"].Deserialize<string[]>()!);
    }

    /// <summary>Every stored tensor by its name below the layer's path; still owned by this result.</summary>
    public IReadOnlyList<(string Name, Tensor Tensor)> Tensors() => Bias is null ? [.. Weight.Leaves()] : [.. Weight.Leaves(), (BiasName, Bias)];

    /// <inheritdoc/>
    public void Dispose()
    {
        Weight.Dispose();
        Bias?.Dispose();
    }
}
