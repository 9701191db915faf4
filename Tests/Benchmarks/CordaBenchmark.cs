using System.Diagnostics;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Tests.Stories;

namespace PipelineDsl.Benchmarks;

/// <summary>CorDA as compression on all blocks of gsmbard-4m, 256 samples of 256 tokens: where the time goes, and how much memory it takes.</summary>
internal static class CordaBenchmark
{
    private const int Samples = 256;

    public static void Run(string[] arguments)
    {
        if (DataFolder.Find() is not { } folder)
        {
            return;
        }

        var phases = new Phases();
        var watch = Stopwatch.StartNew();
        var manifest = StoryModel.GsmBard(folder).Compress(new Corda { KeepRatio = 0.5 }, Samples, phases);
        double total = watch.Elapsed.TotalSeconds;
        using var process = Process.GetCurrentProcess();
        var table = new ResultTable("corda", "samples", "statistics s", "solving s", "total s", "peak MiB", "ppl before", "ppl after");
        table.Add(Samples, phases.Statistics, phases.Solving, total, process.PeakWorkingSet64 / 1048576.0, manifest.Quality!.Before, manifest.Quality.After);
        table.Write();
    }

    /// <summary>Times the phases by what the engine records: statistics once they are there, a line for each layer solved.</summary>
    private sealed class Phases : IRunObserver
    {
        private readonly Stopwatch watch = Stopwatch.StartNew();
        private double lastLayer;

        public double Statistics { get; private set; }

        public double Solving => lastLayer - Statistics;

        public void Report(RecipeDiagnostic diagnostic) => Console.WriteLine(diagnostic);

        public void Progress(string message) => Console.WriteLine(message);

        public void Record(string entry)
        {
            if (entry.StartsWith("statistics ", StringComparison.Ordinal))
            {
                Statistics = watch.Elapsed.TotalSeconds;
            }
            else if (entry.StartsWith("layer ", StringComparison.Ordinal))
            {
                lastLayer = watch.Elapsed.TotalSeconds;
            }
        }
    }
}
