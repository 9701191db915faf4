using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Runtime.Engine;

/// <summary>The results on a cache server: <c>ac/&lt;key&gt;</c> answers with the digest of the content, <c>cas/&lt;sha256&gt;</c> with the content.</summary>
/// <remarks>
/// Whatever goes wrong is one warning, and none of it stops a run: a server that is down, slow, or answers what it should not is not asked again; one that refuses to take results is still read; content
/// that is damaged counts as not there. Nothing is sent twice.
/// </remarks>
/// <param name="server">The server.</param>
/// <param name="observer">Hears the warning.</param>
internal sealed class RemoteStore(CacheServer server, IRunObserver observer)
{
    /// <summary>Content over this size is neither taken nor put.</summary>
    private const long MostBytes = 16L << 30;

    /// <summary>A digest and the end of its line, with room for white space.</summary>
    private const int MostEntryBytes = 128;

    private const int PieceBytes = 1 << 17;

    /// <summary>A server that is never silent for long may still be too slow to be of use.</summary>
    private const double SlowestBytesPerSecond = 1 << 16;

    private readonly HttpClient client = NewClient(server);
    private readonly ConcurrentDictionary<string, bool> missing = new(StringComparer.Ordinal);
    private int warned;
    private volatile bool isDown;
    private volatile bool refusesWrites = server.ReadOnly;

    /// <summary>The digest of a key's content, or null when the server does not know the key or cannot be used. A key that it did not know is not asked for again.</summary>
    public string? Digest(string key) => isDown || missing.ContainsKey(key) ? null : Wait(DigestAsync(key));

    /// <summary>Fetches content into a file; false when it is not there, not what its digest says, or cannot be had. What the file then holds is worth nothing.</summary>
    public bool Fetch(string digest, string path) => !isDown && Wait(FetchAsync(digest, path));

    /// <summary>Puts content and the key that names it.</summary>
    public void Put(string key, string digest, string path)
    {
        if (!isDown && !refusesWrites && new FileInfo(path).Length <= MostBytes)
        {
            Wait(PutAsync(key, digest, path));
        }
    }

    private static HttpClient NewClient(CacheServer server)
    {
        // A redirection could carry the token to another host.
        var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = server.Patience })
        {
            BaseAddress = server.Address,
            Timeout = Timeout.InfiniteTimeSpan,
        };
        if (server.Token is { } token)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        return client;
    }

    /// <summary>The engine's threads are its own and have nothing else to do.</summary>
    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();

    private Task<string?> DigestAsync(string key) => Asking<string?>("ac/" + key, null, async (response, patience) =>
    {
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            missing[key] = true;
            return null;
        }

        byte[] entry = new byte[MostEntryBytes + 1];
        await using var stream = await response.Content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false);
        int length = await Received(() => stream.ReadAtLeastAsync(entry, entry.Length, throwOnEndOfStream: false, patience.Token)).ConfigureAwait(false);
        string digest = Encoding.Latin1.GetString(entry, 0, length).Trim();
        return length <= MostEntryBytes && digest.Length == 64 && digest.All(char.IsAsciiHexDigitLower) ? digest : GiveUp<string?>("answered to a key with something that is no digest", null);
    });

    private Task<bool> FetchAsync(string digest, string path) => Asking("cas/" + digest, false, async (response, patience) =>
    {
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return Damaged("lost content that it names");
        }

        if (response.Content.Headers.ContentLength > MostBytes)
        {
            return Damaged("announces content that is longer than any result");
        }

        var started = Environment.TickCount64;
        long received = 0;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] piece = new byte[PieceBytes];
        await using var stream = await response.Content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false);
        await using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        while (true)
        {
            patience.CancelAfter(server.Patience);
            int count = await Received(() => stream.ReadAsync(piece, patience.Token)).ConfigureAwait(false);
            if (count == 0)
            {
                break;
            }

            received += count;
            var allowed = server.Patience + TimeSpan.FromSeconds(received / SlowestBytesPerSecond);
            if (received > MostBytes)
            {
                return Damaged("sends content without an end");
            }

            if (Environment.TickCount64 - started > allowed.TotalMilliseconds)
            {
                return GiveUp("sends too slowly to be of use", false);
            }

            hash.AppendData(piece.AsSpan(0, count));
            await file.WriteAsync(piece.AsMemory(0, count), CancellationToken.None).ConfigureAwait(false);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset()) == digest || Damaged("sent content that is not what its digest says");
    });

    private async Task<bool> PutAsync(string key, string digest, string path)
    {
        // The key last: who finds it finds the content.
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
        return await PutAsync("cas/" + digest, patience => new FileContent(file, () => patience.CancelAfter(server.Patience))).ConfigureAwait(false)
            && await PutAsync("ac/" + key, _ => new StringContent(digest + "\n")).ConfigureAwait(false);
    }

    private Task<bool> PutAsync(string place, Func<CancellationTokenSource, HttpContent> content) => Guarded(false, async patience =>
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, place) { Content = content(patience) };
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
        {
            return true;
        }

        refusesWrites = true;
        Warn($"answered {Status(response)} when it was given a result{Advice(response)}", "results are no longer put there; set PipelineDslCacheReadOnly to true where that is meant");
        return false;
    });

    /// <summary>Gets something; only an answer that says yes, or that there is nothing, is looked at.</summary>
    private Task<T> Asking<T>(string place, T nothing, Func<HttpResponseMessage, CancellationTokenSource, Task<T>> read) => Guarded(nothing, async patience =>
    {
        using var response = await client.GetAsync(place, HttpCompletionOption.ResponseHeadersRead, patience.Token).ConfigureAwait(false);
        return response.StatusCode is HttpStatusCode.OK or HttpStatusCode.NotFound
            ? await read(response, patience).ConfigureAwait(false)
            : GiveUp($"answered {Status(response)} when it was asked for a result{Advice(response)}", nothing);
    });

    private async Task<T> Guarded<T>(T nothing, Func<CancellationTokenSource, Task<T>> work)
    {
        using var patience = new CancellationTokenSource(server.Patience);
        try
        {
            return await work(patience).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return GiveUp(FormattableString.Invariant($"was silent for {server.Patience.TotalSeconds:0.#} s"), nothing);
        }
        catch (HttpRequestException failure)
        {
            return GiveUp("cannot be talked to: " + failure.GetBaseException().Message.Split('\n')[0].Trim().TrimEnd('.'), nothing);
        }
    }

    /// <summary>A connection that breaks is the server's failure, where a file that cannot be written is not.</summary>
    private static async Task<int> Received(Func<ValueTask<int>> read)
    {
        try
        {
            return await read().ConfigureAwait(false);
        }
        catch (IOException broken)
        {
            throw new HttpRequestException(broken.Message, broken);
        }
    }

    private static string Status(HttpResponseMessage response) => FormattableString.Invariant($"{(int)response.StatusCode} {response.StatusCode}");

    private static string Advice(HttpResponseMessage response) => response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden
        ? $" (the environment variable {CacheServer.TokenVariable} holds the token it is sent)"
        : "";

    private T GiveUp<T>(string problem, T nothing)
    {
        isDown = true;
        Warn(problem, "the build goes on with its own cache; start the server, or correct or remove PipelineDslCacheUrl");
        return nothing;
    }

    private bool Damaged(string problem)
    {
        Warn(problem, "the result is computed again");
        return false;
    }

    private void Warn(string problem, string consequence)
    {
        if (Interlocked.Exchange(ref warned, 1) == 0)
        {
            observer.Report(new(DiagnosticIds.CacheServerFailed, Severity.Warning, $"the cache server '{server.Address}' {problem}; {consequence}", SourceSpan.StartOf(server.Place)));
        }
    }

    /// <summary>A file that is sent as long as the other side takes it.</summary>
    private sealed class FileContent(FileStream file, Action progress) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            byte[] piece = new byte[PieceBytes];
            for (int count; (count = await file.ReadAsync(piece, cancellationToken).ConfigureAwait(false)) > 0;)
            {
                await stream.WriteAsync(piece.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
                progress();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = file.Length;
            return true;
        }
    }
}
