using System.Security.Cryptography;
using System.Text;
using PipelineDsl.Diagnostics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>A model's weights, whether they lie in one file or in a folder of shards.</summary>
public sealed class WeightStore : IDisposable
{
    /// <summary>The file that a folder of unsharded weights holds.</summary>
    public const string SingleFileName = "model.safetensors";

    /// <summary>The file that says which shard of a folder holds which tensor.</summary>
    public const string IndexFileName = "model.safetensors.index.json";

    private readonly IReadOnlyList<SafetensorsFile> files;
    private readonly Dictionary<string, SafetensorsFile> owners;

    private WeightStore(string path, IReadOnlyList<SafetensorsFile> files, Dictionary<string, SafetensorsFile> owners, IReadOnlyList<RecipeDiagnostic> warnings)
    {
        Path = path;
        this.files = files;
        this.owners = owners;
        Warnings = warnings;
        Names = [.. owners.Keys.Order(StringComparer.Ordinal)];
    }

    /// <summary>The file or folder that was opened.</summary>
    public string Path { get; }

    /// <summary>The tensors' names, sorted.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>What is odd about the weights but does not make them unusable.</summary>
    public IReadOnlyList<RecipeDiagnostic> Warnings { get; }

    /// <summary>The key-value pairs that the writer left in the (first) file.</summary>
    public IReadOnlyDictionary<string, string> Metadata => files.Count == 0 ? new Dictionary<string, string>() : files[0].Metadata;

    /// <summary>Opens a safetensors file, a shard index, or a folder that holds either (the single file goes first, as model hubs do).</summary>
    /// <exception cref="PipelineException">PDSL1015: nothing is there. PDSL3012: it cannot be read. PDSL3002: a file, or how the shards fit together, is broken.</exception>
    public static WeightStore Open(string path)
    {
        string file = !Directory.Exists(path) ? path : FileIn(path);
        if (file.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            return OpenShards(path, file);
        }

        var single = SafetensorsFile.Open(file);
        return new WeightStore(path, [single], single.Names.ToDictionary(name => name, _ => single, StringComparer.Ordinal), []);
    }

    /// <summary>Whether the weights hold a tensor.</summary>
    public bool Contains(string name) => owners.ContainsKey(name);

    /// <inheritdoc cref="SafetensorsFile.Info"/>
    public TensorInfo Info(string name) => Owner(name).Info(name);

    /// <inheritdoc cref="SafetensorsFile.Read"/>
    public Tensor Read(string name) => Owner(name).Read(name);

    /// <inheritdoc cref="SafetensorsFile.ReadRows"/>
    public Tensor ReadRows(string name, long start, long count) => Owner(name).ReadRows(name, start, count);

    /// <inheritdoc cref="SafetensorsFile.ReadBytes"/>
    public void ReadBytes(string name, long offset, Span<byte> destination) => Owner(name).ReadBytes(name, offset, destination);

    /// <inheritdoc cref="SafetensorsFile.Digest"/>
    public string Digest(string name) => Owner(name).Digest(name);

    /// <summary>SHA-256 of the file; of several shards, SHA-256 of their names and digests in order.</summary>
    public string FileDigest(CancellationToken cancellation = default)
    {
        if (files.Count == 1)
        {
            return files[0].FileDigest(cancellation);
        }

        var lines = files.Select(file => $"{System.IO.Path.GetFileName(file.Path)} {file.FileDigest(cancellation)}\n");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(lines))));
    }

    /// <summary>What the system says of each file now, in order.</summary>
    internal IReadOnlyList<FileStamp> Stamps() => [.. files.Select(file => file.Stamp())];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in files)
        {
            file.Dispose();
        }
    }

    private static string FileIn(string folder)
    {
        string single = System.IO.Path.Combine(folder, SingleFileName);
        string index = System.IO.Path.Combine(folder, IndexFileName);
        return File.Exists(single) ? single
            : File.Exists(index) ? index
            : throw new PipelineException(DiagnosticIds.MissingFile, $"folder '{folder}' holds neither '{SingleFileName}' nor '{IndexFileName}'; name the weights file itself or put one of them there", folder);
    }

    private static WeightStore OpenShards(string path, string indexPath)
    {
        var index = ShardIndex.Read(indexPath);
        var files = new List<SafetensorsFile>();
        try
        {
            string folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(indexPath))!;
            files.AddRange(index.Shards.Select(shard => SafetensorsFile.Open(System.IO.Path.Combine(folder, shard))));
            var byShard = files.ToDictionary(file => System.IO.Path.GetFileName(file.Path), StringComparer.Ordinal);
            return new WeightStore(path, files, index.Map.ToDictionary(entry => entry.Key, entry => byShard[entry.Value], StringComparer.Ordinal), index.Check(byShard));
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    private SafetensorsFile Owner(string name) => owners.GetValueOrDefault(name)
        ?? throw new PipelineException(DiagnosticIds.BrokenWeights, $"'{Path}' holds no tensor '{name}'; check the name, or take the weights that belong to the model", Path);
}
