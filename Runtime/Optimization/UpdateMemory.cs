using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>What the steps of one tensor leave for the next: a count and tensors by name. It can be written out and taken back exactly.</summary>
/// <remarks>All are stored row by row, as they come back from a file: products of another layout round otherwise, and a resumed run would leave the bits of an undisturbed one.</remarks>
internal sealed class UpdateMemory : IDisposable
{
    private readonly SortedDictionary<string, Tensor> tensors = new(StringComparer.Ordinal);

    /// <summary>Steps so far.</summary>
    public int Steps { get; set; }

    /// <summary>The tensors by name; still owned here.</summary>
    public IReadOnlyDictionary<string, Tensor> Tensors => tensors;

    /// <summary>What they take in memory.</summary>
    public long Bytes => tensors.Values.Sum(tensor => tensor.numel() * tensor.element_size());

    /// <summary>Zeros like a tensor, at first.</summary>
    public Tensor Like(string name, Tensor value) => Get(name, () => zeros(value.shape, dtype: value.dtype, device: value.device));

    /// <summary>A tensor of the memory.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="first">Makes it where it is not there yet.</param>
    public Tensor Get(string name, Func<Tensor> first)
    {
        if (!tensors.TryGetValue(name, out var tensor))
        {
            tensors[name] = tensor = RowMajor(first());
        }

        return tensor;
    }

    /// <summary>Whether a tensor is there.</summary>
    public bool Has(string name) => tensors.ContainsKey(name);

    /// <summary>Puts a tensor in the place of another, which is disposed; the memory takes ownership.</summary>
    public void Set(string name, Tensor tensor)
    {
        tensors.GetValueOrDefault(name)?.Dispose();
        tensors[name] = RowMajor(tensor);
    }

    private static Tensor RowMajor(Tensor tensor)
    {
        if (tensor.is_contiguous())
        {
            return tensor.DetachFromDisposeScope();
        }

        using (tensor)
        {
            return tensor.contiguous().DetachFromDisposeScope();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in tensors.Values)
        {
            tensor.Dispose();
        }
    }
}
