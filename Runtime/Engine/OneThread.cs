using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Lets the tensor library use one thread on this thread until it is disposed: results do not depend on the number of cores, and what runs beside keeps its own.</summary>
internal sealed class OneThread : IDisposable
{
    private readonly int before = get_num_threads();

    public OneThread() => set_num_threads(1);

    /// <inheritdoc/>
    public void Dispose() => set_num_threads(before);
}
