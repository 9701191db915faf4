namespace PipelineDsl.Runtime.Numerics;

/// <summary>What the work on this thread may take beside its input, where that is limited: a route whose need shows only on the way asks before it is taken.</summary>
internal sealed class WorkingMemory : IDisposable
{
    [ThreadStatic]
    private static long? granted;

    private readonly long? before = granted;

    private WorkingMemory(long? bytes) => granted = bytes;

    /// <summary>Limits the work on this thread until the result is disposed; null lets it take what it wants.</summary>
    public static IDisposable Grant(long? bytes) => new WorkingMemory(bytes);

    /// <summary>Asks for memory.</summary>
    /// <exception cref="MemoryShortageException">It is more than was granted.</exception>
    public static void Require(long bytes)
    {
        if (bytes > granted)
        {
            throw new MemoryShortageException(bytes);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => granted = before;
}

/// <summary>Work that turned out to take more memory than it was granted; it may begin anew with more.</summary>
internal sealed class MemoryShortageException(long bytes) : Exception($"{bytes} bytes are needed at once")
{
    /// <summary>What is needed beside the input.</summary>
    public long Bytes => bytes;
}
