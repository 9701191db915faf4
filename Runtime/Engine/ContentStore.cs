using System.Globalization;
using System.Security.Cryptography;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A folder of results: <c>ac/&lt;key&gt;</c> names the content, <c>cas/&lt;sha256&gt;</c> holds it. Content is verified on every read.</summary>
/// <remarks>Any number of processes may share the folder: files appear by renaming and are never changed.</remarks>
/// <param name="folder">The folder; made when first written to.</param>
/// <param name="beneath">A store that is read where this one has nothing, and never written to; or null.</param>
/// <param name="remote">A server that is asked where this store has nothing, and that gets what is stored here; or null.</param>
internal sealed class ContentStore(string folder, ContentStore? beneath = null, RemoteStore? remote = null)
{
    /// <summary>Digits of a key that name its claim: few enough for the files to stay, many enough for two keys seldom to share one.</summary>
    private const int ClaimDigits = 3;

    private int cleaned;

    /// <summary>Whether the store is only looked at: nothing is computed, written or dropped, and what is not there is a <see cref="NotCachedException"/>.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>The file with a key's content, or null when it is not there or damaged; damaged entries are dropped.</summary>
    public string? Find(string key) => FindHere(key) ?? beneath?.Find(key) ?? FindThere(key);

    /// <summary>A store above this one for what is only tried out: disposing it deletes what was not moved here.</summary>
    public TrialStore Above() => new(this, IsReadOnly ? null : Path.Combine(folder, "trials"));

    private string? FindHere(string key)
    {
        string entry = EntryPath(key);
        try
        {
            string digest = File.ReadAllText(entry).Trim();
            if (digest.Length == 64 && digest.All(char.IsAsciiHexDigitLower))
            {
                string content = ContentPath(digest);
                using (var stream = File.OpenRead(content))
                {
                    if (Convert.ToHexStringLower(SHA256.HashData(stream)) == digest)
                    {
                        return content;
                    }
                }

                Drop(content);
            }

            Drop(entry);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Not there, or just replaced by another process: the work is done again.
        }

        return null;
    }

    /// <summary>Takes a key's content over from the server; digests decide, here as there, what it is worth.</summary>
    private string? FindThere(string key) => remote?.Digest(key) is not { } digest ? null : Writing(() =>
    {
        using var scratch = NewScratch();
        string temporary = Path.Combine(scratch.Path, "content");
        return remote.Fetch(digest, temporary) ? Keep(key, digest, temporary, scratch) : null;
    });

    private void Drop(string file)
    {
        if (!IsReadOnly)
        {
            File.Delete(file);
        }
    }

    /// <summary>Keeps everybody from clearing the folder until it is disposed: a run comes back to what it found or stored, however long ago.</summary>
    /// <param name="waiting">Called once when somebody clears it, and that takes longer than a moment.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>Null where the folder cannot be written to: a run that finds everything there needs no more, and any other says what is wrong when it writes.</returns>
    public IDisposable? Use(Action waiting, CancellationToken cancellation)
    {
        try
        {
            return Engine.Claim.Share(UseFile(folder), waiting, cancellation);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The file whose claim runs share, and whoever clears a store's folder has alone.</summary>
    public static string UseFile(string folder) => Path.Combine(folder, "use.claim");

    /// <summary>The right to compute what a key names: processes that share the folder compute it one after the other, so the second finds it.</summary>
    /// <param name="key">The key; look for it again once the claim is there. No other claim may be taken while this one is held.</param>
    /// <param name="cancellation">Ends the wait for another process.</param>
    /// <exception cref="PipelineException">PDSL3012: the folder cannot be written to.</exception>
    public IDisposable Claim(string key, CancellationToken cancellation) =>
        IsReadOnly ? throw new NotCachedException() : Writing(() => Engine.Claim.Take(Path.Combine(folder, "claims", key[..ClaimDigits]), cancellation: cancellation));

    /// <summary>The file of a key. When it is not there it is computed, by one process of all that share the folder.</summary>
    /// <param name="key">The key.</param>
    /// <param name="make">Computes the file and puts it there under the key; returns where it lies.</param>
    /// <param name="cancellation">Ends the wait for another process.</param>
    /// <exception cref="PipelineException">PDSL3012: the folder cannot be written to.</exception>
    public string FindOrMake(string key, Func<string> make, CancellationToken cancellation)
    {
        if (Find(key) is { } found)
        {
            return found;
        }

        using var claim = Claim(key, cancellation);
        return Find(key) ?? make();
    }

    /// <summary>The number of a key; computed and stored when it is not there.</summary>
    public double Number(string key, Func<double> compute) => Numbers(key, () => [compute()])[0];

    /// <summary>The numbers of a key; computed and stored when they are not there.</summary>
    public IReadOnlyList<double> Numbers(string key, Func<IReadOnlyList<double>> compute) =>
        [.. Lines(key, () => [.. compute().Select(value => value.ToString("R", CultureInfo.InvariantCulture))]).Select(line => double.Parse(line, CultureInfo.InvariantCulture))];

    /// <summary>The lines of text of a key; computed and stored when they are not there.</summary>
    public IReadOnlyList<string> Lines(string key, Func<IReadOnlyList<string>> compute)
    {
        if (Find(key) is { } found)
        {
            return File.ReadAllLines(found);
        }

        if (IsReadOnly)
        {
            throw new NotCachedException();
        }

        var lines = compute();
        Put(key, path => File.WriteAllLines(path, lines));
        return lines;
    }

    /// <summary>Stores what <paramref name="write"/> writes to the path it is given, and returns where it now lies.</summary>
    /// <exception cref="PipelineException">PDSL3012: the folder cannot be written to.</exception>
    public string Put(string key, Action<string> write) => IsReadOnly ? throw new NotCachedException() : Writing(() => PutFile(key, write));

    private T Writing<T>(Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or PipelineException { Diagnostic.Id: DiagnosticIds.FileFailed })
        {
            // The system's words name a temporary file that tells nobody anything.
            string reason = ((failure as PipelineException)?.InnerException ?? failure).Message.Split(" : '")[0].TrimEnd('.');
            throw new PipelineException(DiagnosticIds.FileFailed, $"cannot write to the cache '{folder}': {reason}; make room, or set PipelineDslCacheDirectory to another folder", folder, failure);
        }
    }

    private string PutFile(string key, Action<string> write)
    {
        using var scratch = NewScratch();
        string temporary = Path.Combine(scratch.Path, "content");
        write(temporary);
        string digest;
        using (var stream = File.OpenRead(temporary))
        {
            digest = Convert.ToHexStringLower(SHA256.HashData(stream));
        }

        string content = Keep(key, digest, temporary, scratch);
        remote?.Put(key, digest, content);
        return content;
    }

    private ScratchFolder NewScratch()
    {
        string parent = Path.Combine(folder, "tmp");
        if (Interlocked.Exchange(ref cleaned, 1) == 0)
        {
            ScratchFolder.Clean(parent);
        }

        return ScratchFolder.In(parent);
    }

    private string Keep(string key, string digest, string temporary, ScratchFolder scratch)
    {
        string content = ContentPath(digest);
        MoveInto(temporary, content);
        string entry = Path.Combine(scratch.Path, "entry");
        File.WriteAllText(entry, digest + "\n");
        MoveInto(entry, EntryPath(key));
        return content;
    }

    private static void MoveInto(string from, string to)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(to)!);
        File.Move(from, to, overwrite: true);
    }

    private string EntryPath(string key) => Path.Combine(folder, "ac", key[..2], key);

    private string ContentPath(string digest) => Path.Combine(folder, "cas", digest[..2], digest);
}

/// <summary>Something that must be computed, where nothing is.</summary>
internal sealed class NotCachedException : Exception;
