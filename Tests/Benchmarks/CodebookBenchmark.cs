using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>The parts of VQ4DiT for one layer on one thread, and the largest resident memory of the process after each.</summary>
/// <remarks>Arguments: side, codewords, width (4096 256 4 unless told). k-means is measured for 10 rounds; the inputs' Gram matrix takes 8 bytes a pair of columns by itself.</remarks>
internal static class CodebookBenchmark
{
    private const int Rounds = 10;

    public static void Run(string[] arguments)
    {
        int[] sizes = arguments.Length == 0 ? [4096, 256, 4] : [.. arguments.Select(text => int.Parse(text, CultureInfo.InvariantCulture))];
        var (side, codewords, width) = (sizes[0], sizes[1], sizes[2]);
        using var gate = FinalizerGate.Close();
        using var scope = NewDisposeScope();
        set_num_threads(1);
        var weight = randn(side, side, generator: new Generator(1));
        var table = new ResultTable("codebooks", "what", "seconds", "peak MB");
        T Timed<T>(string what, Func<T> work)
        {
            var watch = Stopwatch.StartNew();
            var result = work();
            table.Add(what, watch.Elapsed.TotalSeconds, Process.GetCurrentProcess().PeakWorkingSet64 / 1e6);
            return result;
        }

        Timed("weight alone", () => weight);
        Timed($"solver, {Rounds} rounds", () =>
        {
            var step = new Vq4Dit { Codewords = codewords, Width = width, KMeansIterations = Rounds, Tune = CodebookTuning.None };
            using var dense = new Dense(weight.alias());
            using var stored = new Vq4DitSolver().Solve(new("layer", dense, null, LayerStatistics.None, 1), step).Weight;
            return stored.Bytes;
        });
        var start = Timed("k-means++", () => VectorQuantization.Start(weight, codewords, width, seed: 1));
        var (means, _) = Timed($"{Rounds} rounds of Lloyd", () => VectorQuantization.Lloyd(weight, start, Rounds));
        var (codes, _) = Timed("codes", () => VectorQuantization.Assign(weight, means));
        var (candidates, _) = Timed("candidates", () => VectorQuantization.Candidates(weight, means, 2));
        var gram = Timed("Gram matrix", () =>
        {
            var x = randn(256, side, dtype: float64, generator: new Generator(2));
            return x.mT.mm(x).div_(256);
        });
        var fitted = Timed("least squares", () => LeastSquaresCodebook.Fit(weight, gram, codes, means));
        Timed("pass over candidates", () =>
        {
            new CandidateDescent(gram, fitted).Pass(weight, codes, candidates);
            return codes;
        });
        table.Write();
    }
}
