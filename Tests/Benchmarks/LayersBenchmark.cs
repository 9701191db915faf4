using System.Collections.Concurrent;
using System.Diagnostics;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Benchmarks;

/// <summary>One changed layer of thirty against a run of all of them, both on one core: more of them shorten the run of all and not that of one.</summary>
internal static class LayersBenchmark
{
    private const int Width = 768;
    private const int Rank = 64;
    private const int Turns = 5;

    public static void Run(string[] args)
    {
        string folder = Directory.CreateTempSubdirectory("pdsl-bench-").FullName;
        try
        {
            var all = new LayerStackPipeline(Width, Rank);
            all.WriteWeights(folder);
            var full = Measure(folder, all);
            var one = Enumerable.Range(0, Turns).Select(turn => Measure(folder, new LayerStackPipeline(Width, Rank, changed: 3 + turn))).ToList();
            var table = new ResultTable("layers", "run", "solved", "seconds", "share");
            table.Add("all layers", full.Solved, full.Seconds, 1.0);
            double seconds = NoopBenchmark.Median(one.Select(run => run.Seconds));
            table.Add("one changed", one.Max(run => run.Solved), seconds, seconds / full.Seconds);
            table.Write();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (int Solved, double Seconds) Measure(string folder, LayerStackPipeline pipeline)
    {
        var journal = new Journal();
        var options = new RunOptions
        {
            ProjectDirectory = folder,
            OutputDirectory = Path.Combine(folder, "models"),
            CacheDirectory = Path.Combine(folder, "cache"),
            CodeFingerprint = "1",
            UpdateLock = true,
        };
        var watch = Stopwatch.StartNew();
        new PipelineRunner(options, journal).Run(pipeline, CancellationToken.None);
        return (journal.Entries.Count(entry => entry.StartsWith("layer ", StringComparison.Ordinal)), watch.Elapsed.TotalSeconds);
    }

    private sealed class Journal : IRunObserver
    {
        public ConcurrentQueue<string> Entries { get; } = [];

        public void Report(RecipeDiagnostic diagnostic)
        {
        }

        public void Progress(string message)
        {
        }

        public void Record(string entry) => Entries.Enqueue(entry);
    }
}
