namespace PipelineDsl.Runtime.Engine;

/// <summary>Lets work begin as long as what all of it takes stays within a limit.</summary>
/// <param name="capacity">Bytes, or null for no limit.</param>
internal sealed class MemoryGate(long? capacity)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly object gate = new();
    private long taken;

    /// <summary>The most bytes, or null for no limit.</summary>
    public long? Capacity => capacity;

    /// <summary>Waits until the bytes are free, and takes them until the result is disposed.</summary>
    /// <param name="bytes">At most the capacity. Who holds some must not ask for more.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public IDisposable Take(long bytes, CancellationToken cancellation)
    {
        if (bytes > capacity)
        {
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"the limit is {capacity}");
        }

        lock (gate)
        {
            while (taken + bytes > capacity)
            {
                cancellation.ThrowIfCancellationRequested();
                Monitor.Wait(gate, Pause);
            }

            taken += bytes;
            return new Share(this, bytes);
        }
    }

    private void Free(long bytes)
    {
        lock (gate)
        {
            taken -= bytes;
            Monitor.PulseAll(gate);
        }
    }

    private sealed class Share(MemoryGate owner, long bytes) : IDisposable
    {
        public void Dispose() => owner.Free(bytes);
    }
}
