using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Runtime.Execution;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;
using Stories.Model;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Benchmarks;

/// <summary>Products with packed 4-bit layers against dense ones in float32 and bfloat16, all in turn in the same run, and tokens a second of whole models before and after.</summary>
/// <remarks>Arguments: rows of the layers (4096 11008 unless told); each has 4096 columns, and there are as many of them as make a model: calls go from one to the next, or the caches of large processors would hold a layer from call to call. A ratio above 1 means that the packed layer is faster.</remarks>
internal static class InferenceBenchmark
{
    private const int Columns = 4096;

    /// <summary>What the layers take in float32 together, more than any cache.</summary>
    private const long ModelBytes = 1L << 30;

    private static readonly (string Name, Quantize Step)[] Grids =
    [
        ("128, symmetric", new Quantize { GroupSize = 128 }),
        ("32, asymmetric", new Quantize { GroupSize = 32, Symmetric = false }),
    ];

    public static void Run(string[] arguments)
    {
        int[] sides = arguments.Length == 0 ? [4096, 11008] : [.. arguments.Select(text => int.Parse(text, CultureInfo.InvariantCulture))];
        using var gate = FinalizerGate.Close();
        using var noGradients = no_grad();
        set_num_threads(Environment.ProcessorCount);
        Console.WriteLine($"{Environment.ProcessorCount} cores; milliseconds are medians, measured in turn; 4 bits, groups as named");
        Layers(sides);
        Models();
    }

    private static void Layers(int[] sides)
    {
        var table = new ResultTable("inference", "rows", "tokens", "groups", "float32", "bfloat16", "packed f32", "packed bf16", "x float32", "x bfloat16");
        foreach (int rows in sides)
        {
            using var scope = NewDisposeScope();
            int layers = (int)(ModelBytes / (sizeof(float) * Columns * (long)rows)) + 1;
            var weights = Enumerable.Range(0, layers).Select(layer => randn(rows, Columns, generator: new Generator((ulong)layer)).mul_(0.02)).ToList();
            var halves = weights.Select(weight => weight.to(bfloat16)).ToList();
            var packed = Grids.Select(grid => weights.Select(weight => Packed(weight, grid.Step)).ToList()).ToList();
            foreach (int tokens in new[] { 1, 8, 64, 512 })
            {
                var x = randn(tokens, Columns, generator: new Generator(2));
                var xHalf = x.to(bfloat16);
                List<Func<Tensor>> work = [Each(weights, weight => nn.functional.linear(x, weight)), Each(halves, half => nn.functional.linear(xHalf, half))];
                foreach (var runners in packed)
                {
                    work.Add(Each(runners, runner => runner.forward(x)));
                    work.Add(Each(runners, runner => runner.forward(xHalf)));
                }

                double[] milliseconds = InTurn(tokens > 64 ? 3 : 9, work);
                for (int i = 0; i < Grids.Length; i++)
                {
                    var (single, bfloat) = (milliseconds[2 + (2 * i)], milliseconds[3 + (2 * i)]);
                    table.Add(rows, tokens, Grids[i].Name, milliseconds[0], milliseconds[1], single, bfloat, milliseconds[0] / single, milliseconds[1] / bfloat);
                }
            }

            packed.SelectMany(runners => runners).ToList().ForEach(runner => runner.Dispose());
        }

        table.Write();
    }

    /// <summary>The sample's model, and a larger one of the same kind with random weights: the sample's layers are too small to be packed.</summary>
    private static void Models()
    {
        var table = new ResultTable("inference-models", "model", "weights", "tokens/s", "ratio", "MiB");
        foreach (var (name, config, turns) in new[]
        {
            ("stories260k", LlamaConfig.Stories260K, 40),
            ("1024 wide, 8 layers", LlamaConfig.Stories260K with { HiddenSize = 1024, IntermediateSize = 2816, Layers = 8, Heads = 16, KeyValueHeads = 16 }, 8),
        })
        {
            random.manual_seed(1);
            using var dense = new StoryLlama(config);
            using var packed = new StoryLlama(config);
            Copy(dense, packed);
            dense.eval();
            packed.eval();
            foreach (var layer in ModelLayer.Find(packed).Where(layer => layer.Kind == LayerKinds.Linear))
            {
                using var grid = RoundToNearest.Store(layer.Weight, new Quantize { GroupSize = 32 });
                LayerInstaller.Install(layer, grid, null, onlyLookedUp: false, packed: true);
            }

            var ids = ones(1, 1, dtype: int64);
            double[] milliseconds = InTurn(turns, [() => dense.call(ids), () => packed.call(ids)]);
            table.Add(name, "float32", 1000 / milliseconds[0], 1.0, MiB(dense));
            table.Add(name, "4 bits", 1000 / milliseconds[1], milliseconds[0] / milliseconds[1], MiB(packed));
        }

        table.Write();
    }

    private static void Copy(StoryLlama from, StoryLlama to)
    {
        var state = to.state_dict();
        foreach (var (name, value) in from.state_dict())
        {
            state[name].copy_(value);
        }
    }

    private static double MiB(nn.Module model) => model.state_dict().Values.Sum(value => value.numel() * value.element_size()) / 1048576.0;

    /// <summary>A product with the next layer at each call.</summary>
    private static Func<Tensor> Each<T>(List<T> layers, Func<T, Tensor> product)
    {
        int calls = 0;
        return () => product(layers[calls++ % layers.Count]);
    }

    private static PackedRunner Packed(Tensor weight, Quantize step)
    {
        using var grid = RoundToNearest.Store(weight, step);
        return PackedRunner.Of(grid)!;
    }

    /// <summary>Medians. The works take turns, so that a busy machine slows all alike, each for some calls in a row, of which the first do not count: they find caches and clock as another work left them.</summary>
    private static double[] InTurn(int turns, List<Func<Tensor>> work)
    {
        const int LeastCalls = 8;
        var leastTime = TimeSpan.FromMilliseconds(20);
        var times = work.Select(_ => new List<double>()).ToList();
        for (int turn = 0; turn < turns; turn++)
        {
            for (int i = 0; i < work.Count; i++)
            {
                var calls = new List<double>();
                var row = Stopwatch.StartNew();
                while (calls.Count < LeastCalls || row.Elapsed < leastTime)
                {
                    using var scope = NewDisposeScope();
                    var watch = Stopwatch.StartNew();
                    work[i]();
                    calls.Add(watch.Elapsed.TotalMilliseconds);
                }

                times[i].AddRange(calls.Skip(calls.Count * 3 / 8));
            }
        }

        return [.. times.Select(list => list.Order().ElementAt(list.Count / 2))];
    }
}
