using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Engine;

/// <summary>SHA-256 of weights and of their tensors, kept in a store so that files which did not change are not hashed again.</summary>
/// <remarks>A file is taken to be what it was while its machine, path, length and times are the same, as build engines and version control do.</remarks>
/// <param name="store">A store without a server.</param>
/// <param name="clock">Tells how old files are; null is the system's.</param>
internal sealed class WeightDigests(ContentStore store, TimeProvider? clock = null)
{
    /// <summary>A file this young may change again within the grain of its times, so it is hashed every time.</summary>
    private static readonly TimeSpan YouthLimit = TimeSpan.FromSeconds(3);

    /// <summary>SHA-256 of all of it, as <see cref="WeightStore.FileDigest"/>.</summary>
    /// <exception cref="PipelineException">PDSL3002, PDSL3012: the weights cannot be read.</exception>
    public string OfFile(WeightStore weights) => Kept(weights, "file", [], () => [weights.FileDigest()])[0];

    /// <summary>SHA-256 of tensors' bytes, in order, as <see cref="WeightStore.Digest"/>.</summary>
    /// <exception cref="PipelineException">PDSL3002, PDSL3012: the weights cannot be read.</exception>
    public IReadOnlyList<string> OfTensors(WeightStore weights, IReadOnlyList<string> names) =>
        Kept(weights, "tensors", names, () => [.. names.Select(weights.Digest)]);

    private IReadOnlyList<string> Kept(WeightStore weights, string what, IReadOnlyList<string> names, Func<IReadOnlyList<string>> hash)
    {
        var files = weights.Stamps();
        var now = (clock ?? TimeProvider.System).GetUtcNow().UtcDateTime;
        if (files.Any(file => now - file.Changed < YouthLimit))
        {
            return hash();
        }

        string key = Key(what, files, names);
        if (store.Find(key) is { } found)
        {
            return File.ReadAllLines(found);
        }

        var digests = hash();
        if (!store.IsReadOnly && weights.Stamps().SequenceEqual(files))
        {
            Keep(key, digests);
        }

        return digests;
    }

    private static string Key(string what, IReadOnlyList<FileStamp> files, IReadOnlyList<string> names)
    {
        var key = new ContentKey("weight digests").Add("of", what).Add("machine", Environment.MachineName);
        foreach (var file in files)
        {
            key.Add("path", file.Path).Add("bytes", file.Bytes).Add("created", file.Created.Ticks).Add("written", file.Written.Ticks);
        }

        foreach (string name in names)
        {
            key.Add("name", name);
        }

        return key.ToString();
    }

    private void Keep(string key, IReadOnlyList<string> digests)
    {
        try
        {
            store.Put(key, path => File.WriteAllLines(path, digests));
        }
        catch (PipelineException failure) when (failure.Diagnostic.Id == DiagnosticIds.FileFailed)
        {
            // A run that finds all its results needs no cache that can be written to; any other says so when it has one.
        }
    }
}
