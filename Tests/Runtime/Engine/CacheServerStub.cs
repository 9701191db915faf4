using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>A cache server in memory, which can be told to misbehave; tests of real builds start it too.</summary>
internal sealed partial class CacheServerStub : IDisposable
{
    private readonly HttpListener listener;

    public CacheServerStub()
    {
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            Address = new Uri($"http://127.0.0.1:{((IPEndPoint)probe.LocalEndpoint).Port}/models/");
        }

        listener = new HttpListener { Prefixes = { Address.ToString() } };
        listener.Start();
        _ = Task.Run(Listen);
    }

    public Uri Address { get; }

    /// <summary>What is stored, by path below the address.</summary>
    public ConcurrentDictionary<string, byte[]> Files { get; } = [];

    /// <summary>Every request: method, path, authorization.</summary>
    public ConcurrentQueue<(string Method, string Path, string? Authorization)> Requests { get; } = [];

    /// <summary>Answers instead of the server; false leaves it to the server.</summary>
    public Func<HttpListenerContext, string, bool>? Misbehave { get; set; }

    public void Dispose() => listener.Close();

    private async Task Listen()
    {
        while (listener.IsListening)
        {
            try
            {
                var context = await listener.GetContextAsync();
                _ = Task.Run(() => Answer(context));
            }
            catch (Exception closed) when (closed is HttpListenerException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }
        }
    }

    private void Answer(HttpListenerContext context)
    {
        try
        {
            string path = context.Request.Url!.AbsolutePath[Address.AbsolutePath.Length..];
            Requests.Enqueue((context.Request.HttpMethod, path, context.Request.Headers["Authorization"]));
            if (Misbehave?.Invoke(context, path) != true)
            {
                Serve(context, path);
            }

            context.Response.Close();
        }
        catch (Exception gone) when (gone is HttpListenerException or ObjectDisposedException or IOException or InvalidOperationException)
        {
            // The client went away, as a patient one would not have.
        }
    }

    private void Serve(HttpListenerContext context, string path)
    {
        if (context.Request.HttpMethod == "PUT")
        {
            using var body = new MemoryStream();
            context.Request.InputStream.CopyTo(body);
            Files[path] = body.ToArray();
            context.Response.StatusCode = 201;
        }
        else if (Files.TryGetValue(path, out byte[]? content))
        {
            context.Response.ContentLength64 = content.Length;
            context.Response.OutputStream.Write(content);
        }
        else
        {
            context.Response.StatusCode = 404;
        }
    }
}
