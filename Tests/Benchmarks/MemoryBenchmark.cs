using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Tests.Engine;

namespace PipelineDsl.Benchmarks;

/// <summary>The memory that a large model takes whose layers are rounded, and those that are decomposed: all but a few of its weights are zeros that a sparse file stores for nothing.</summary>
internal static class MemoryBenchmark
{
    private const int Gigabytes = 8;
    private const int NonZeroRows = 96;

    public static void Run(string[] args)
    {
        int gigabytes = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : Gigabytes;
        int width = (int)(Math.Sqrt(gigabytes * (double)(1L << 30) / 4 / LayerStack.Count) / 64) * 64;
        string folder = Directory.CreateTempSubdirectory("pdsl-bench-").FullName;
        try
        {
            WriteSparse(Path.Combine(folder, "stack.safetensors"), width);
            var table = new ResultTable("memory", "step", "model GB", "largest MB", "seconds", "peak MB");
            foreach (var (name, step) in new (string, Step)[] { ("quantize", new Quantize { Bits = 4, GroupSize = 64 }), ("decompose", new Decompose { Rank = 64 }) })
            {
                var watch = Stopwatch.StartNew();
                var options = new RunOptions
                {
                    ProjectDirectory = folder,
                    OutputDirectory = Path.Combine(folder, "models"),
                    CacheDirectory = Path.Combine(folder, "cache"),
                    CodeFingerprint = "1",
                    UpdateLock = true,
                    ShapesOnly = true,
                };
                new PipelineRunner(options, new Silent()).Run(new LayerStackPipeline(width, _ => step), CancellationToken.None);
                table.Add(name, LayerStack.Count * 4.0 * width * width / (1L << 30), 4.0 * width * width / (1 << 20), watch.Elapsed.TotalSeconds, PeakMegabytes());
            }

            table.Write();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The most memory that the process had resident at once, so far.</summary>
    private static double PeakMegabytes()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64 / 1048576.0;
    }

    /// <summary>Writes the weights of the model; holes stand for zeros.</summary>
    private static void WriteSparse(string path, int width)
    {
        var header = new StringBuilder("{");
        long offset = 0;
        for (int layer = 0; layer < LayerStack.Count; layer++)
        {
            Add($"layers.{layer}.weight", $"{width},{width}", 4L * width * width);
            Add($"layers.{layer}.bias", $"{width}", 4L * width);
        }

        byte[] json = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        byte[] size = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(size, json.Length);
        using var file = new FileStream(path, FileMode.Create);
        file.Write(size);
        file.Write(json);
        long start = file.Position;
        file.SetLength(start + offset);
        var random = new Random(5);
        byte[] row = new byte[4 * width];
        for (int layer = 0; layer < LayerStack.Count; layer++)
        {
            file.Position = start + (layer * 4L * width * (width + 1));
            for (int count = 0; count < NonZeroRows; count++)
            {
                for (int column = 0; column < width; column++)
                {
                    BinaryPrimitives.WriteSingleLittleEndian(row.AsSpan(4 * column), random.NextSingle() - 0.5f);
                }

                file.Write(row);
            }
        }

        void Add(string name, string shape, long bytes)
        {
            header.Append(offset == 0 ? "" : ",").Append(CultureInfo.InvariantCulture, $"\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[{offset},{offset + bytes}]}}");
            offset += bytes;
        }
    }

    private sealed class Silent : IRunObserver
    {
        public void Report(RecipeDiagnostic diagnostic)
        {
        }

        public void Progress(string message)
        {
        }

        public void Record(string entry)
        {
        }
    }
}
