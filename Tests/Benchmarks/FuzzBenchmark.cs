using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Fuzzing;
using PipelineDsl.Runtime.Tests.Formats.Safetensors;

namespace PipelineDsl.Benchmarks;

/// <summary>A million broken safetensors headers and a million broken recipes: none may crash, hang, take more than 50 MB or go without a code.</summary>
internal static class FuzzBenchmark
{
    private const int Cases = 1_000_000;
    private const int Seed = 20_26;

    public static void Run(string[] args)
    {
        int cases = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : Cases;
        var table = new ResultTable("fuzz", "format", "cases", "right", "refused", "findings", "slowest ms", "largest MB", "seconds");
        var findings = Measure(table, "safetensors", cases, HeaderFuzz.Run).Concat(Measure(table, "recipe", cases, RecipeFuzz.Run)).ToList();
        table.Write();
        findings.ForEach(Console.Error.WriteLine);
        if (findings.Count > 0)
        {
            throw new FormatException($"{findings.Count} findings");
        }
    }

    private static List<string> Measure(ResultTable table, string format, int cases, Func<int, int, FuzzingResult> run)
    {
        var watch = Stopwatch.StartNew();
        var result = run(cases, Seed);
        table.Add(format, cases, result.Right, result.Refused, result.Findings.Count, result.Slowest.TotalMilliseconds, result.LargestAllocation / 1048576.0, watch.Elapsed.TotalSeconds);
        return result.Findings;
    }
}
