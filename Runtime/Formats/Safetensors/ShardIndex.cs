using System.Text.Json;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>Which shard of a folder holds which tensor.</summary>
internal sealed class ShardIndex
{
    private readonly string path;
    private readonly long? totalBytes;

    private ShardIndex(string path, Dictionary<string, string> map, long? totalBytes)
    {
        this.path = path;
        this.totalBytes = totalBytes;
        Map = map;
        Shards = [.. map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
    }

    /// <summary>The shard's file name by the tensor's name.</summary>
    public IReadOnlyDictionary<string, string> Map { get; }

    /// <summary>The shards' file names, sorted; plain names, which cannot leave the folder.</summary>
    public IReadOnlyList<string> Shards { get; }

    /// <exception cref="PipelineException">PDSL1015, PDSL3012: as for any file. PDSL3002: it is no index.</exception>
    public static ShardIndex Read(string path) => StrictJson.Read(path, DiagnosticIds.BrokenWeights, "a shard index", root => Read(path, root));

    /// <summary>Compares the map with what the shards hold.</summary>
    /// <returns>Warnings: tensors outside the map, a total that disagrees.</returns>
    /// <exception cref="PipelineException">PDSL3002: a mapped tensor is not in its shard, or also in another.</exception>
    public IReadOnlyList<RecipeDiagnostic> Check(IReadOnlyDictionary<string, SafetensorsFile> shards)
    {
        var warnings = new List<RecipeDiagnostic>();
        if (Map.FirstOrDefault(entry => !shards[entry.Value].Contains(entry.Key)) is { Key: { } lost, Value: var promised })
        {
            throw Broken(path, $"tensor '{lost}' is not in '{promised}', where the map has it");
        }

        long total = 0;
        foreach (var (shard, file) in shards.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            foreach (string name in file.Names)
            {
                total += file.Info(name).ByteCount;
                if (!Map.TryGetValue(name, out string? owner))
                {
                    warnings.Add(Warning($"tensor '{name}' of '{shard}' is not in the map and is ignored; add it to 'weight_map' or write the shards again"));
                }
                else if (owner != shard)
                {
                    throw Broken(path, $"tensor '{name}' is in two shards, '{owner}' and '{shard}'");
                }
            }
        }

        if (totalBytes is { } announced && announced != total)
        {
            warnings.Add(Warning($"'total_size' says {announced} bytes but the shards hold {total}; check that all shards are of one model"));
        }

        return warnings;
    }

    private static ShardIndex Read(string path, JsonElement root)
    {
        var entries = root.Find("weight_map") ?? throw Broken(path, "it lacks the object 'weight_map'");
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var entry in entries.EnumerateObject())
        {
            map.Add(entry.Name, ShardName(path, entry));
        }

        return new ShardIndex(path, map, root.Find("metadata")?.Find("total_size")?.GetInt64());
    }

    private static string ShardName(string path, JsonProperty entry)
    {
        string? shard = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString() : null;
        return shard is { Length: > 0 } && shard.AsSpan().IndexOfAny('/', '\\', ':') < 0 && shard is not ("." or "..")
            ? shard
            : throw Broken(path, $"the shard of tensor '{entry.Name}' is {entry.Value.GetRawText()}, which is no plain file name in the same folder");
    }

    private RecipeDiagnostic Warning(string message) => new(DiagnosticIds.BrokenWeights, Severity.Warning, message, SourceSpan.StartOf(path));

    private static PipelineException Broken(string path, string reason) =>
        new(DiagnosticIds.BrokenWeights, $"'{path}' does not fit its shards: {reason}; get or write the folder again", path);
}
