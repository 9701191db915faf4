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
    private const int Turns = 3;

    public static void Run(string[] args)
    {
        string folder = Directory.CreateTempSubdirectory("pdsl-bench-").FullName;
        try
        {
            var all = new LayerStackPipeline(Width, Rank);
            all.WriteWeights(folder);
            var full = new List<(int Solved, double Seconds, double Cpu)>();
            var one = new List<(int Solved, double Seconds, double Cpu)>();
            for (int turn = 0; turn < Turns; turn++)
            {
                full.Add(Measure(folder, $"cache{turn}", all));
                one.Add(Measure(folder, $"cache{turn}", new LayerStackPipeline(Width, Rank, changed: 3 + turn)));
            }

            double whole = NoopBenchmark.Median(full.Select(run => run.Seconds));
            double seconds = NoopBenchmark.Median(one.Select(run => run.Seconds));
            double wholeCpu = NoopBenchmark.Median(full.Select(run => run.Cpu));
            double cpu = NoopBenchmark.Median(one.Select(run => run.Cpu));
            var table = new ResultTable("layers", "run", "solved", "seconds", "share", "cpu s", "cpu share");
            table.Add("all layers", full.Max(run => run.Solved), whole, 1.0, wholeCpu, 1.0);
            table.Add("one changed", one.Max(run => run.Solved), seconds, seconds / whole, cpu, cpu / wholeCpu);
            table.Write();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (int Solved, double Seconds, double Cpu) Measure(string folder, string cache, LayerStackPipeline pipeline)
    {
        var journal = new Journal();
        var options = new RunOptions
        {
            ProjectDirectory = folder,
            OutputDirectory = Path.Combine(folder, "models"),
            CacheDirectory = Path.Combine(folder, cache),
            CodeFingerprint = "1",
            UpdateLock = true,
            ShapesOnly = true,
        };
        var before = Environment.CpuUsage.TotalTime;
        var watch = Stopwatch.StartNew();
        new PipelineRunner(options, journal).Run(pipeline, CancellationToken.None);
        return (journal.Entries.Count(entry => entry.StartsWith("layer ", StringComparison.Ordinal)), watch.Elapsed.TotalSeconds, (Environment.CpuUsage.TotalTime - before).TotalSeconds);
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
