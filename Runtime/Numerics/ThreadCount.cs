using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Lets the tensor library use so many threads on this thread until it is disposed; what runs beside keeps its own.</summary>
internal sealed class ThreadCount : IDisposable
{
    private readonly int before = get_num_threads();

    /// <summary>Sets the number.</summary>
    public ThreadCount(int threads) => set_num_threads(threads);

    /// <inheritdoc/>
    public void Dispose() => set_num_threads(before);
}
