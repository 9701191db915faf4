using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>The iterated leading singular vectors against a complete SVD that is cut off, on spectra σ_i = i^exponent.</summary>
/// <remarks>Arguments: sides (1024 2048 4096 unless told). The matrix is float32, as weights are. Baseline: linalg.svd in float32, the cheapest complete decomposition. Both on all cores, on one, as the engine solves a layer, and on a GPU where there is one.</remarks>
internal static class SvdBenchmark
{
    private const int Rank = 64;

    public static void Run(string[] arguments)
    {
        int[] sides = arguments.Length == 0 ? [1024, 2048, 4096] : [.. arguments.Select(text => int.Parse(text, CultureInfo.InvariantCulture))];
        using var gate = FinalizerGate.Close();
        Console.WriteLine($"rank {Rank}; seconds are medians; excess = (loss - optimum) / optimum");
        var table = new ResultTable("svd", "side", "on", "exponent", "accuracy", "svd s", "route s", "ratio", "excess", "certified", "accepted");
        foreach (int side in sides)
        {
            foreach (int threads in new[] { Environment.ProcessorCount, 1 })
            {
                set_num_threads(threads);
                Measure(table, side, CPU, threads == 1 ? "1 core" : $"{threads} cores");
            }

            if (cuda.is_available())
            {
                Measure(table, side, CUDA, "gpu");
            }
        }

        table.Write();
    }

    private static void Measure(ResultTable table, int side, Device device, string place)
    {
        foreach (double exponent in new[] { -1, -0.3 })
        {
            Measure(table, side, device, place, exponent);
        }
    }

    private static void Measure(ResultTable table, int side, Device device, string place, double exponent)
    {
        using var scope = NewDisposeScope();
        var spectrum = Enumerable.Range(1, side).Select(i => Math.Pow(i, exponent)).ToArray();
        double optimum = spectrum.Skip(Rank).Reverse().Sum(value => value * value);
        var matrix = Orthonormal(side, 1).mul(tensor(spectrum)).mm(Orthonormal(side, 2));
        var single = matrix.to(float32).to(device);
        double complete = Median(side > 2048 ? 3 : 5, () => linalg.svd(single, fullMatrices: false).U.narrow(1, 0, Rank).clone());
        foreach (var accuracy in new[] { SvdAccuracy.Fast, SvdAccuracy.Tight })
        {
            double seconds = Median(9, () => LeftSvd.Leading(single, Rank, accuracy, 0).Vectors);
            var found = RandomisedSvd.Of(single, Rank, accuracy, 0);
            var vectors = found.Vectors.cpu();
            double loss = matrix.square().sum().item<double>() - vectors.mT.mm(matrix).square().sum().item<double>();
            double certified = found.CertifiedExcess!.Value;
            table.Add(side, place, exponent, accuracy.ToString(), complete, seconds, complete / seconds, (loss - optimum) / optimum, certified, certified <= RandomisedSvd.Tolerance(accuracy));
        }
    }

    /// <summary>A random orthonormal matrix: two reflections would leave a structure that real weights lack.</summary>
    private static Tensor Orthonormal(int side, ulong seed) => linalg.qr(randn(side, side, dtype: float64, generator: new Generator(seed))).Q;

    /// <summary>The median of repetitions after one that is not counted, unless it is the only one.</summary>
    internal static double Median(int repetitions, Func<Tensor> work)
    {
        if (repetitions > 1)
        {
            using var scope = NewDisposeScope();
            work();
        }

        double[] seconds = new double[repetitions];
        for (int i = 0; i < repetitions; i++)
        {
            using var scope = NewDisposeScope();
            var watch = Stopwatch.StartNew();
            work().cpu();
            seconds[i] = watch.Elapsed.TotalSeconds;
        }

        Array.Sort(seconds);
        return seconds[repetitions / 2];
    }
}
