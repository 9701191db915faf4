using System.Globalization;
using PipelineDsl.Runtime.Native;

namespace PipelineDsl.Benchmarks;

/// <summary>Runs one benchmark by name: <c>dotnet run build/bench.cs -- NAME [arguments]</c>.</summary>
internal static class Program
{
    private static readonly Dictionary<string, Action<string[]>> Benchmarks = new(StringComparer.Ordinal)
    {
        ["svd"] = SvdBenchmark.Run,
        ["quant"] = QuantBenchmark.Run,
        ["inference"] = InferenceBenchmark.Run,
        ["corda"] = CordaBenchmark.Run,
        ["orientations"] = OrientationsBenchmark.Run,
        ["tables"] = TableBenchmark.Run,
        ["codebooks"] = CodebookBenchmark.Run,
        ["leaderboard"] = Leaderboard.Run,
        ["adapters"] = AdaptersBenchmark.Run,
        ["optimizers"] = OptimizersBenchmark.Run,
        ["training"] = TrainingBenchmark.Run,
        ["fuzz"] = FuzzBenchmark.Run,
        ["kills"] = KillsBenchmark.Run,
        ["layers"] = LayersBenchmark.Run,
        ["memory"] = MemoryBenchmark.Run,
        ["noop"] = NoopBenchmark.Run,
        ["generator"] = GeneratorBenchmark.Run,
    };

    private static int Main(string[] args)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        if (args.Length == 0 || !Benchmarks.TryGetValue(args[0], out var benchmark))
        {
            Console.Error.WriteLine($"usage: dotnet run build/bench.cs -- NAME [arguments]; names: {string.Join(", ", Benchmarks.Keys)}");
            return 2;
        }

        NativeLibraries.Load();
        try
        {
            benchmark(args[1..]);
            return 0;
        }
        catch (FormatException failure)
        {
            Console.Error.WriteLine($"{args[0]}: {failure.Message}");
            return 2;
        }
    }
}
