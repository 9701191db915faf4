using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using PipelineDsl.Runtime.Numerics;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Works on many things at once, each on one thread, so that results do not depend on how many.</summary>
internal static class WorkerThreads
{
    /// <summary>Works on all items, in their order as threads come free; the first failure stops the rest and is thrown.</summary>
    /// <param name="items">The items.</param>
    /// <param name="cores">The most threads.</param>
    /// <param name="work">The work on one item.</param>
    /// <param name="cancellation">Stops between items.</param>
    /// <remarks>Threads of our own: the tensor library's thread count is a setting of each thread.</remarks>
    public static void Run<T>(IReadOnlyList<T> items, int cores, Action<T> work, CancellationToken cancellation)
    {
        var queue = new ConcurrentQueue<T>(items);
        var failures = new ConcurrentQueue<Exception>();
        var threads = Enumerable.Range(0, Math.Clamp(cores, 1, Math.Max(1, items.Count))).Select(_ => new Thread(() =>
        {
            using var one = new ThreadCount(1);
            while (failures.IsEmpty && !cancellation.IsCancellationRequested && queue.TryDequeue(out var item))
            {
                try
                {
                    work(item);
                }
                catch (Exception failure)
                {
                    failures.Enqueue(failure);
                }
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        cancellation.ThrowIfCancellationRequested();
        if (failures.TryDequeue(out var first))
        {
            ExceptionDispatchInfo.Throw(first);
        }
    }
}
