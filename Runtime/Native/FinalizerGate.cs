using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace PipelineDsl.Runtime.Native;

/// <summary>Keeps the finalizer thread waiting while tensor operations run.</summary>
/// <remarks>
/// TorchSharp hands numbers to native code as <c>Scalar</c> objects and does not keep them alive during the call. When another thread
/// causes a garbage collection at that moment, the finalizer frees a number that is being read: the call fails with
/// "Expected false to be true", or computes with another number. A build must never compute with another number. So finalizers run only where
/// nobody is inside a native call: when the gate opens, and at <see cref="Drain"/>.
/// </remarks>
internal sealed class FinalizerGate : IDisposable
{
    /// <summary>Draining costs a garbage collection, so it happens at most this often.</summary>
    private static readonly TimeSpan DrainInterval = TimeSpan.FromSeconds(0.5);

    private static readonly Lock Counting = new();
    private static readonly Stopwatch SinceDrain = Stopwatch.StartNew();
    private static int holders;
    private static Barrier? barrier;
    private bool disposed;

    private FinalizerGate()
    {
    }

    /// <summary>Closes the gate until the result is disposed; several holders may overlap.</summary>
    public static FinalizerGate Close()
    {
        lock (Counting)
        {
            if (holders++ == 0)
            {
                barrier = Barrier.Raise();
            }
        }

        return new FinalizerGate();
    }

    /// <summary>Lets what waits be finalised, now and then; call it between batches, where this thread alone works with tensors. Does nothing while others hold the gate too.</summary>
    public static void Drain()
    {
        lock (Counting)
        {
            if (holders == 1 && SinceDrain.Elapsed > DrainInterval)
            {
                SinceDrain.Restart();
                barrier!.Lower();
                barrier = Barrier.Raise();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (Counting)
        {
            if (disposed)
            {
                return;
            }

            disposed = true;
            if (--holders == 0)
            {
                barrier!.Lower();
                barrier = null;
            }
        }
    }

    /// <summary>An object whose finalizer occupies the finalizer thread.</summary>
    private sealed class Barrier
    {
        private readonly TaskCompletionSource reached = new();
        private readonly TaskCompletionSource lowered = new();

        /// <summary>Returns when the finalizer thread stands at a new barrier.</summary>
        public static Barrier Raise()
        {
            var barrier = new Barrier();
            Abandon(barrier);
            do
            {
                GC.Collect();
            }
            while (!barrier.reached.Task.Wait(TimeSpan.FromMilliseconds(100)));
            return barrier;
        }

        /// <summary>Lets the finalizer thread go on and returns when it has nothing left to do.</summary>
        public void Lower()
        {
            lowered.SetResult();
            GC.WaitForPendingFinalizers();
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Abandon(Barrier barrier) => _ = new Obstacle(barrier);

        private sealed class Obstacle(Barrier barrier)
        {
            ~Obstacle()
            {
                barrier.reached.SetResult();
                barrier.lowered.Task.Wait();
            }
        }
    }
}
