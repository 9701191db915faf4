using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace PipelineDsl.Benchmarks;

/// <summary>Runs the host on a model that is larger than its memory limit: peak memory and time of rounding to nearest and of low rank.</summary>
/// <remarks>
/// The weights are a sparse file: every sixteenth row holds values, whose size falls from row to row as singular values do; the other rows are never written and take no space.
/// </remarks>
internal static class MemoryBenchmark
{
    private const long LayerBytes = (long)LargeModel.Width * LargeModel.Width * sizeof(float);
    private const int WrittenEvery = 16;
    private const int Cores = 2;

    /// <summary>Beside two of the largest tensors.</summary>
    private const long Allowance = 300_000_000;

    public static void Run(string[] args)
    {
        double gigabytes = args.Length > 0 ? double.Parse(args[0], CultureInfo.InvariantCulture) : 8;
        string limit = args.Length > 1 ? args[1] : "2 GB";
        int layers = Math.Max(1, (int)(gigabytes * (1L << 30) / LayerBytes));
        string folder = Directory.CreateTempSubdirectory("pipelinedsl-memory-").FullName;
        try
        {
            RequireSpace(folder, layers);
            WriteWeights(Path.Combine(folder, LargeModelPipeline.WeightsFile), layers);
            var table = new ResultTable("memory", "step", "model MB", "limit", "bound MB", "peak MB", "seconds", "solved");
            foreach (string step in LargeModelPipeline.Steps.Keys)
            {
                var (peak, seconds, solved) = RunHost(folder, step, layers, limit);
                table.Add(step, layers * LayerBytes / 1e6, limit, ((2 * LayerBytes) + Allowance) / 1e6, peak / 1e6, seconds, solved);
                Directory.Delete(Path.Combine(folder, "cache"), recursive: true);
                Directory.Delete(Path.Combine(folder, "models"), recursive: true);
                if (solved != layers)
                {
                    throw new FormatException($"{solved} of {layers} layers were solved");
                }
            }

            table.Write();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The rows that are written, and four bits a weight with scales, in the cache and in the artifact.</summary>
    private static void RequireSpace(string folder, int layers)
    {
        long needed = layers * ((LayerBytes / WrittenEvery) + (2 * LayerBytes * 9 / 64));
        long free = new DriveInfo(folder).AvailableFreeSpace;
        Console.WriteLine($"needs {needed / 1e9:0.0} GB of disk in '{folder}', where {free / 1e9:0.0} GB are free");
        if (free < needed)
        {
            throw new FormatException("there is too little room; set TMPDIR to a folder on a larger disk, or ask for fewer gigabytes");
        }
    }

    private static void WriteWeights(string path, int layers)
    {
        var entries = Enumerable.Range(0, layers).ToDictionary(
            layer => $"layers.{layer}.weight",
            layer => (object)new Dictionary<string, object> { ["dtype"] = "F32", ["shape"] = new[] { LargeModel.Width, LargeModel.Width }, ["data_offsets"] = new[] { layer * LayerBytes, (layer + 1) * LayerBytes } });
        byte[] header = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(entries));
        Array.Resize(ref header, (header.Length + 7) / 8 * 8);
        header.AsSpan().Replace((byte)0, (byte)' ');
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        file.Write(BitConverter.GetBytes((long)header.Length));
        file.Write(header);
        long start = file.Position;
        file.SetLength(start + (layers * LayerBytes));
        float[] row = new float[LargeModel.Width];
        for (int layer = 0; layer < layers; layer++)
        {
            var random = new Random(layer);
            for (int i = 0; i < LargeModel.Width / WrittenEvery; i++)
            {
                float size = 0.1f / (1 + i);
                for (int j = 0; j < row.Length; j++)
                {
                    row[j] = size * ((2 * random.NextSingle()) - 1);
                }

                file.Position = start + (layer * LayerBytes) + ((long)i * WrittenEvery * row.Length * sizeof(float));
                file.Write(MemoryMarshal.AsBytes<float>(row));
            }
        }
    }

    /// <summary>Starts the host as the build does.</summary>
    private static (long Peak, double Seconds, int Solved) RunHost(string folder, string step, int layers, string limit)
    {
        string assembly = typeof(MemoryBenchmark).Assembly.Location;
        string repository = typeof(MemoryBenchmark).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(item => item.Key == "RepositoryRoot").Value!;
        string host = Path.Combine(repository, "Runtime", "Host", "bin", "Release", "net10.0", "PipelineDsl.Host");
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } chosen ? chosen : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        string request = Path.Combine(folder, "request.json");
        string journal = Path.Combine(folder, step, "journal.log");
        File.WriteAllText(request, JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["schema"] = 1,
            ["assembly"] = assembly,
            ["projectDirectory"] = folder,
            ["projectFile"] = Path.Combine(folder, "Large.csproj"),
            ["outputDirectory"] = Path.Combine(folder, "models"),
            ["artifactsList"] = Path.Combine(folder, step, "artifacts.list"),
            ["journal"] = journal,
            ["cacheDirectory"] = Path.Combine(folder, "cache"),
            ["device"] = "cpu",
            ["cores"] = Cores,
            ["memoryLimit"] = limit,
            ["updateLock"] = true,
            ["parentProcess"] = Environment.ProcessId,
        }));
        var start = new ProcessStartInfo("dotnet", ["exec", "--runtimeconfig", host + ".runtimeconfig.json", "--depsfile", Path.ChangeExtension(assembly, ".deps.json"), "--additionalprobingpath", packages, host + ".dll", request]) { WorkingDirectory = folder };
        start.Environment[LargeModelPipeline.StepVariable] = step;
        start.Environment[LargeModelPipeline.LayersVariable] = layers.ToString(CultureInfo.InvariantCulture);
        var watch = Stopwatch.StartNew();
        using var process = Process.Start(start)!;
        long peak = 0;
        while (!process.WaitForExit(50))
        {
            process.Refresh();
            try
            {
                peak = Math.Max(peak, process.PeakWorkingSet64);
            }
            catch (InvalidOperationException)
            {
                // It ended at this moment.
            }
        }

        return process.ExitCode == 0
            ? (peak, watch.Elapsed.TotalSeconds, File.ReadLines(journal).Count(line => line.StartsWith("layer ", StringComparison.Ordinal)))
            : throw new FormatException($"the host ended with {process.ExitCode}");
    }
}
