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
    /// <summary>What is known about it without its numbers.</summary>
    public SolvedSummary Summary => new(Weight.Describe(), Weight.Bytes, Bias is null ? null : Bias.numel() * Bias.element_size(), Facts, Spectrum, Notes);

    /// <summary>Writes the result to a safetensors file.</summary>
    public void Write(string path) =>
        SafetensorsWriter.Write(path, Tensors().Select(item => KeyValuePair.Create(item.Name, item.Tensor)), new Dictionary<string, string>([Summary.ToMetadata()]));

    /// <summary>Reads a result; the caller owns it.</summary>
    /// <exception cref="InvalidDataException">The file is not what <see cref="Write"/> leaves.</exception>
    public static SolvedLayer Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        var summary = SolvedSummary.Read(file);
        return new(
            Expression.Read(summary.Weight, file.Read),
            summary.BiasBytes is null ? null : file.Read(SolvedSummary.BiasName).DetachFromDisposeScope(),
            summary.Facts,
            summary.Spectrum,
            summary.Notes);
    }

    /// <summary>Every stored tensor by its name below the layer's path; still owned by this result.</summary>
    public IReadOnlyList<(string Name, Tensor Tensor)> Tensors() => Bias is null ? [.. Weight.Leaves()] : [.. Weight.Leaves(), (SolvedSummary.BiasName, Bias)];

    /// <inheritdoc/>
    public void Dispose()
    {
        Weight.Dispose();
        Bias?.Dispose();
    }
}
