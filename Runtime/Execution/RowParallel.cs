using System.Runtime.ExceptionServices;

namespace PipelineDsl.Runtime.Execution;

/// <summary>Shares rows out among threads in small parts. The caller works too and waits for nobody that has not begun, so a thread that comes late costs little.</summary>
/// <remarks>Its own threads look out for work for a while before they sleep: between the layers of a model they are awake, which waking the thread pool's is too slow for.</remarks>
internal static class RowParallel
{
    /// <summary>Parts a thread gets if all are equally fast.</summary>
    private const int PartsPerThread = 8;

    private static readonly Lock Gate = new();
    private static readonly List<Worker> Workers = [];

    /// <summary>Does the work for all blocks.</summary>
    /// <param name="blocks">How many blocks.</param>
    /// <param name="threads">How many threads at most, the caller's included; a caller beside another works alone.</param>
    /// <param name="work">Works on blocks from the first to before the second; parts do not touch each other. What one throws is thrown here, when all are done.</param>
    public static void For(long blocks, int threads, Action<long, long> work)
    {
        if (threads <= 1 || !Gate.TryEnter())
        {
            work(0, blocks);
            return;
        }

        try
        {
            while (Workers.Count < threads - 1)
            {
                Workers.Add(new());
            }

            var job = new Job(blocks, Math.Min(blocks, (long)threads * PartsPerThread), work);
            for (int i = 0; i < threads - 1; i++)
            {
                Workers[i].Post(job);
            }

            job.Drain();
            job.Wait();
        }
        finally
        {
            Gate.Exit();
        }
    }

    /// <summary>One call's work. Who comes after its end finds no part left.</summary>
    private sealed class Job(long blocks, long parts, Action<long, long> work)
    {
        private long next;
        private long done;
        private ExceptionDispatchInfo? failure;

        public void Drain()
        {
            for (long part = Interlocked.Increment(ref next) - 1; part < parts; part = Interlocked.Increment(ref next) - 1)
            {
                try
                {
                    work(blocks * part / parts, blocks * (part + 1) / parts);
                }
                catch (Exception thrown)
                {
                    Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(thrown), null);
                }

                Interlocked.Increment(ref done);
            }
        }

        public void Wait()
        {
            var spinner = new SpinWait();
            while (Volatile.Read(ref done) < parts)
            {
                spinner.SpinOnce(sleep1Threshold: -1);
            }

            failure?.Throw();
        }
    }

    /// <summary>A thread that waits for work.</summary>
    private sealed class Worker
    {
        /// <summary>Looks before it sleeps: about a fifth of a millisecond.</summary>
        private const int Looks = 800;
        private const int PauseOfALook = 20;

        private readonly object bed = new();
        private Job? posted;
        private int sleeps;

        public Worker() => new Thread(Run) { IsBackground = true, Name = "PipelineDsl rows" }.Start();

        public void Post(Job job)
        {
            Interlocked.Exchange(ref posted, job);
            if (Volatile.Read(ref sleeps) == 1)
            {
                lock (bed)
                {
                    Monitor.Pulse(bed);
                }
            }
        }

        private void Run()
        {
            while (true)
            {
                Take().Drain();
            }
        }

        private Job Take()
        {
            for (int look = 0; ; look++)
            {
                if (Interlocked.Exchange(ref posted, null) is { } job)
                {
                    return job;
                }

                if (look < Looks)
                {
                    Thread.SpinWait(PauseOfALook);
                    continue;
                }

                // Whoever posts after this sees it and wakes the thread; what was posted before is seen here.
                lock (bed)
                {
                    Interlocked.Exchange(ref sleeps, 1);
                    while (Volatile.Read(ref posted) is null)
                    {
                        Monitor.Wait(bed);
                    }

                    Interlocked.Exchange(ref sleeps, 0);
                }

                look = 0;
            }
        }
    }
}
