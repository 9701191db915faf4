using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>An adapter in memory; owns its tensors.</summary>
/// <param name="Changes">What it makes of layers, by path.</param>
/// <param name="Saved">What takes the place of the model's own tensors, by name.</param>
internal sealed record LoadedAdapter(IReadOnlyDictionary<string, LayerChange> Changes, IReadOnlyDictionary<string, Tensor> Saved) : IDisposable
{
    /// <summary>Why it has no multiples and no sums with others, or null where it has.</summary>
    public string? Unmixable => Saved.Count > 0 ? "replaces modules whole" : Changes.Values.Select(change => change.Unmixable).FirstOrDefault(reason => reason is not null);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var change in Changes.Values)
        {
            change.Dispose();
        }

        foreach (var tensor in Saved.Values)
        {
            tensor.Dispose();
        }
    }
}
