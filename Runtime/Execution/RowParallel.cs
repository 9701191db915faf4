namespace PipelineDsl.Runtime.Execution;

/// <summary>Shares rows out among threads in small parts. The caller works too and waits for nobody that has not begun, so a thread that comes late costs little.</summary>
internal static class RowParallel
{
    /// <summary>Parts a thread gets if all are equally fast.</summary>
    private const int PartsPerThread = 8;

    /// <summary>Does the work for all blocks.</summary>
    /// <param name="blocks">How many blocks.</param>
    /// <param name="threads">How many threads at most, the caller's included.</param>
    /// <param name="work">Works on blocks from the first to before the second; parts do not touch each other.</param>
    public static void For(long blocks, int threads, Action<long, long> work)
    {
        if (threads <= 1)
        {
            work(0, blocks);
            return;
        }

        var job = new Job(blocks, Math.Min(blocks, (long)threads * PartsPerThread), work);
        for (int i = 1; i < threads; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static job => job.Drain(), job, preferLocal: false);
        }

        job.Drain();
        job.Wait();
    }

    private sealed class Job(long blocks, long parts, Action<long, long> work)
    {
        private long next;
        private long done;

        public void Drain()
        {
            for (long part = Interlocked.Increment(ref next) - 1; part < parts; part = Interlocked.Increment(ref next) - 1)
            {
                work(blocks * part / parts, blocks * (part + 1) / parts);
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
        }
    }
}
