using System.Diagnostics;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Quantization;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>How long the solvers take for one layer of 4096 × 4096, and how many megabytes of float32 they read a second.</summary>
/// <remarks>One thread, as the engine solves a layer; <c>gptq</c> on all cores as well. The plain way of rounding is tensor operations for range, division, rounding and packing.</remarks>
internal static class QuantBenchmark
{
    private const int Side = 4096;

    public static void Run(string[] arguments)
    {
        using var gate = FinalizerGate.Close();
        using var scope = NewDisposeScope();
        var weight = randn(Side, Side, generator: new Generator(1));
        double megabytes = Side * (double)Side * sizeof(float) / 1e6;
        var table = new ResultTable("quant", "what", "threads", "seconds", "MB/s", "ratio");
        set_num_threads(1);
        var step = new Quantize { Bits = 4, GroupSize = 32 };
        double plain = SvdBenchmark.Median(3, () => Plain(weight));
        double nearest = SvdBenchmark.Median(5, () => RoundToNearest.Store(weight, step).Codes);
        table.Add("plain int4", 1, plain, megabytes / plain, 1.0);
        table.Add("nearest int4", 1, nearest, megabytes / nearest, plain / nearest);
        var x = randn(2 * Side, Side, dtype: float64, generator: new Generator(2));
        var hessian = x.mT.mm(x) / Side;
        var settings = GptqSettings.Of(new Gptq { Bits = 4, GroupSize = 128 }, Side, Side);
        foreach (int threads in new[] { Environment.ProcessorCount, 1 })
        {
            set_num_threads(threads);
            var watch = Stopwatch.StartNew();
            GptqRounding.Of(weight, hessian, settings);
            double seconds = watch.Elapsed.TotalSeconds;
            table.Add("gptq int4", threads, seconds, megabytes / seconds, nearest / seconds);
        }

        table.Write();
    }

    /// <summary>Symmetric 4-bit codes of groups of 32, two to a byte, by tensor operations.</summary>
    private static Tensor Plain(Tensor weight)
    {
        var groups = weight.reshape(Side, -1, 32);
        var scales = (groups.abs().amax([-1], keepdim: true) / 7).to(float16).to(float32);
        var codes = (groups / scales).round().clamp(-8, 7).add(8).to(uint8).reshape(Side, -1, 2);
        return codes.select(2, 0) + codes.select(2, 1) * 16;
    }
}
