using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>A tensor that sums up, or keeps the largest of, tensors of its shape. It stays where they come from, a GPU included, until it is read.</summary>
/// <param name="dtype">Its dtype.</param>
/// <param name="shape">Its shape.</param>
internal sealed class RunningTotal(ScalarType dtype, params long[] shape) : IDisposable
{
    private Tensor total = zeros(shape, dtype: dtype).DetachFromDisposeScope();

    /// <summary>What came together so far, on the CPU; owned here. Zeros at the start.</summary>
    public Tensor Value => On(CPU);

    /// <summary>Adds a term.</summary>
    public void Add(Tensor term) => On(term.device).add_(term);

    /// <summary>Keeps the larger of each pair of entries.</summary>
    public void KeepLargest(Tensor term)
    {
        using var larger = maximum(On(term.device), term);
        total.copy_(larger);
    }

    /// <inheritdoc/>
    public void Dispose() => total.Dispose();

    private Tensor On(Device device)
    {
        if (total.device.type != device.type)
        {
            using var before = total;
            total = before.to(device).DetachFromDisposeScope();
        }

        return total;
    }
}
