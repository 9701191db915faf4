using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>A golden file, read by a second reader that shares no code with the product's.</summary>
/// <remarks>Folder: PIPELINEDSL_GOLDEN, else the copy beside the tests. Each look-up reads a fresh tensor.</remarks>
internal sealed class GoldenFile
{
    private readonly byte[] bytes;
    private readonly int dataStart;
    private readonly Dictionary<string, (ScalarType Dtype, long[] Shape, int Begin, int End)> entries = [];
    private readonly Dictionary<string, string> metadata = [];

    private GoldenFile(byte[] bytes)
    {
        this.bytes = bytes;
        int headerLength = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        dataStart = 8 + headerLength;
        using var header = JsonDocument.Parse(bytes.AsMemory(8, headerLength));
        foreach (var entry in header.RootElement.EnumerateObject())
        {
            if (entry.Name == "__metadata__")
            {
                metadata = entry.Value.EnumerateObject().ToDictionary(item => item.Name, item => item.Value.GetString()!);
                continue;
            }

            var offsets = entry.Value.GetProperty("data_offsets");
            entries[entry.Name] = (
                Dtype(entry.Value.GetProperty("dtype").GetString()!),
                [.. entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())],
                offsets[0].GetInt32(),
                offsets[1].GetInt32());
        }
    }

    public IEnumerable<string> Names => entries.Keys;

    public Tensor this[string name]
    {
        get
        {
            var (dtype, shape, begin, end) = entries.TryGetValue(name, out var entry) ? entry : throw new KeyNotFoundException($"golden tensor '{name}'");
            var result = empty(shape, dtype: dtype);
            if (end > begin)
            {
                bytes.AsSpan(dataStart + begin, end - begin).CopyTo(result.bytes);
            }

            return result;
        }
    }

    public static GoldenFile Open(string method)
    {
        string folder = Environment.GetEnvironmentVariable("PIPELINEDSL_GOLDEN") is { Length: > 0 } chosen ? chosen : Path.Combine(AppContext.BaseDirectory, "Golden");
        return new(File.ReadAllBytes(Path.Combine(folder, method + ".safetensors")));
    }

    /// <summary>Any safetensors file.</summary>
    public static GoldenFile Read(string path) => new(File.ReadAllBytes(path));

    public bool Has(string name) => entries.ContainsKey(name);

    public double Scalar(string name)
    {
        using var value = this[name];
        return value.to(float64).sum().item<double>();
    }

    public string Setting(string name) => metadata[name];

    public double Number(string name) => double.Parse(Setting(name), CultureInfo.InvariantCulture);

    public int Integer(string name) => int.Parse(Setting(name), CultureInfo.InvariantCulture);

    /// <summary>What stands between a prefix and the next dot in the names: the settings that a file covers.</summary>
    public IReadOnlyList<string> Variants(string prefix) =>
        [.. Names.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Select(name => name[prefix.Length..].Split('.')[0]).Distinct().Order(StringComparer.Ordinal)];

    private static ScalarType Dtype(string name) => name switch
    {
        "F64" => float64,
        "F32" => float32,
        "F16" => float16,
        "BF16" => bfloat16,
        "I64" => int64,
        "I32" => int32,
        "I16" => int16,
        "I8" => int8,
        "U8" => uint8,
        "BOOL" => @bool,
        _ => throw new NotSupportedException($"dtype {name}"),
    };
}
