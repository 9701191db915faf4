using System.Security.Cryptography;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Looks over the folder of a <see cref="ContentStore"/> as a whole: what is there, whether it is sound, and what may go.</summary>
/// <param name="folder">The store's folder; it need not exist.</param>
internal sealed class StoreInventory(string folder)
{
    private const int DigestLength = 64;

    /// <summary>Content comes before its entry: a build may be about to name what has no name yet.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromHours(1);

    /// <summary>Every entry, the newest first. An entry whose content is gone has no bytes.</summary>
    public IReadOnlyList<StoreEntry> Entries() =>
        [.. Files("ac").Select(Read).OfType<StoreEntry>().OrderByDescending(entry => entry.Written).ThenBy(entry => entry.Key, StringComparer.Ordinal)];

    /// <summary>Content that no entry names: what a build leaves that is killed between its two steps.</summary>
    public IReadOnlyList<FileInfo> Unnamed()
    {
        var named = Entries().Select(entry => entry.Digest).ToHashSet(StringComparer.Ordinal);
        return [.. Files("cas").Where(file => !named.Contains(file.Name))];
    }

    /// <summary>Whether an entry's content is what its digest says.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="cancellation">Breaks it off.</param>
    /// <exception cref="IOException">The content cannot be read.</exception>
    public bool IsSound(StoreEntry entry, CancellationToken cancellation)
    {
        string content = ContentPath(entry.Digest);
        if (entry.Digest.Length != DigestLength || !File.Exists(content))
        {
            return false;
        }

        using var stream = File.OpenRead(content);
        return Convert.ToHexStringLower(SHA256.HashDataAsync(stream, cancellation).AsTask().GetAwaiter().GetResult()) == entry.Digest;
    }

    /// <summary>Deletes the entries that were written until a moment.</summary>
    /// <param name="until">The moment.</param>
    /// <param name="waiting">Called once when runs use the folder for longer than a moment, whose end is then waited for; null waits for none.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>How many they were, and the bytes of content that are free now; null, and nothing is deleted, when a run uses the folder and is not waited for.</returns>
    /// <remarks>
    /// Age spares no entry: a run comes back to what it found, however old, and the content of an old entry may be that of a new one which is just being written.
    /// </remarks>
    public (int Entries, long Bytes)? Clear(DateTime until, Action? waiting = null, CancellationToken cancellation = default)
    {
        if (!Directory.Exists(folder))
        {
            return (0, 0);
        }

        string use = ContentStore.UseFile(folder);
        using var alone = waiting is null ? Claim.TryTake(use) : Claim.Take(use, waiting, cancellation);
        if (alone is null)
        {
            return null;
        }

        StoreEntry[] old = [.. Entries().Where(entry => entry.Written <= until)];
        return (old.Length, Delete(old));
    }

    /// <summary>Deletes entries, the content that nothing else names, and what killed builds left half done.</summary>
    /// <param name="entries">The entries.</param>
    /// <returns>The bytes of content that are free now.</returns>
    public long Delete(IReadOnlyCollection<StoreEntry> entries)
    {
        foreach (var entry in entries)
        {
            File.Delete(EntryPath(entry.Key));
        }

        var freed = entries.Select(entry => entry.Digest).ToHashSet(StringComparer.Ordinal);
        long bytes = 0;
        foreach (var file in Unnamed().Where(file => freed.Contains(file.Name) || DateTime.UtcNow - file.LastWriteTimeUtc > Patience))
        {
            bytes += file.Length;
            file.Delete();
        }

        ScratchFolder.Clean(Path.Combine(folder, "tmp"));
        ScratchFolder.Clean(Path.Combine(folder, "trials"));
        return bytes;
    }

    /// <summary>What an entry holds: <c>layer</c>, <c>training</c>, <c>statistics</c>, <c>measurements</c>, or <c>unreadable</c>.</summary>
    /// <remarks>Keys are digests and tell nothing; the content does.</remarks>
    public string KindOf(StoreEntry entry)
    {
        try
        {
            string content = ContentPath(entry.Digest);
            using (var stream = File.OpenRead(content))
            {
                // The length of a safetensors header is a small number in eight bytes; text has no zeros.
                Span<byte> start = stackalloc byte[8];
                if (stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) < start.Length || !start.Contains((byte)0))
                {
                    return "measurements";
                }
            }

            using var file = SafetensorsFile.Open(content);
            return file.Metadata.ContainsKey(SolvedSummary.MetadataKey) ? "layer"
                : file.Metadata.ContainsKey(TrainingPhase.OutcomeEntry) ? "training"
                : "statistics";
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or PipelineException)
        {
            return "unreadable";
        }
    }

    private IEnumerable<FileInfo> Files(string kind)
    {
        var top = new DirectoryInfo(Path.Combine(folder, kind));
        return top.Exists ? top.EnumerateDirectories().SelectMany(part => part.EnumerateFiles()) : [];
    }

    private StoreEntry? Read(FileInfo file)
    {
        try
        {
            string digest = File.ReadAllText(file.FullName).Trim();
            bool isDigest = digest.Length == DigestLength && digest.All(char.IsAsciiHexDigitLower);
            var content = isDigest ? new FileInfo(ContentPath(digest)) : null;
            return new(file.Name, isDigest ? digest : "", content is { Exists: true } ? content.Length : 0, file.LastWriteTimeUtc);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            // A build dropped it at this moment.
            return null;
        }
    }

    private string EntryPath(string key) => Path.Combine(folder, "ac", key[..2], key);

    private string ContentPath(string digest) => Path.Combine(folder, "cas", digest[..2], digest);
}

/// <summary>An entry of a store.</summary>
/// <param name="Key">Its key.</param>
/// <param name="Digest">SHA-256 of its content; empty when the entry is damaged.</param>
/// <param name="Bytes">The length of its content.</param>
/// <param name="Written">When it was written, in UTC.</param>
internal sealed record StoreEntry(string Key, string Digest, long Bytes, DateTime Written);
