using System.Diagnostics;
using System.Net;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>Stores of different folders stand for machines: nothing but the server joins them.</summary>
public sealed class RemoteStoreTests : IDisposable, IRunObserver
{
    private static readonly string Key = new ContentKey("test").Add("a", 1).ToString();
    private static readonly string OtherKey = new ContentKey("test").Add("a", 2).ToString();

    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-remote-").FullName;
    private readonly CacheServerStub server = new();
    private readonly List<RecipeDiagnostic> reported = [];

    public void Dispose()
    {
        server.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void What_one_machine_stores_another_finds_and_asks_for_once()
    {
        Store("one").Put(Key, path => File.WriteAllText(path, "result"));
        var other = Store("two");
        File.ReadAllText(other.Find(Key)!).ShouldBe("result");
        int requests = server.Requests.Count;
        other.Find(Key).ShouldStartWith(Path.Combine(folder, "two"));
        server.Requests.Count.ShouldBe(requests);
        server.Requests.Select(request => request.Method).ShouldBe(["PUT", "PUT", "GET", "GET"]);
        server.Requests.First().Path.ShouldStartWith("cas/");
        reported.ShouldBeEmpty();
    }

    [Fact]
    public void A_key_that_the_server_does_not_know_is_asked_for_once()
    {
        var store = Store("one");
        store.Find(Key).ShouldBeNull();
        store.Find(Key).ShouldBeNull();
        server.Requests.ShouldHaveSingleItem();
        reported.ShouldBeEmpty();
    }

    [Fact]
    public void Damaged_content_is_computed_again_and_put_over_the_damaged()
    {
        Store("one").Put(Key, path => File.WriteAllText(path, "result"));
        string content = server.Files.Keys.Single(path => path.StartsWith("cas/", StringComparison.Ordinal));
        server.Files[content] = "resulT"u8.ToArray();

        var other = Store("two");
        other.Find(Key).ShouldBeNull();
        Files("two").ShouldBeEmpty();
        Warning().ShouldContain("not what its digest says; the result is computed again");
        other.Put(Key, path => File.WriteAllText(path, "result"));
        server.Files[content].ShouldBe("result"u8.ToArray());
        Store("three").Find(Key).ShouldNotBeNull();
    }

    [Fact]
    public void Content_that_the_server_lost_is_computed_again()
    {
        Store("one").Put(Key, path => File.WriteAllText(path, "result"));
        server.Files.TryRemove(server.Files.Keys.Single(path => path.StartsWith("cas/", StringComparison.Ordinal)), out _);
        Store("two").Find(Key).ShouldBeNull();
        Warning().ShouldContain("lost content that it names");
    }

    [Fact]
    public void A_broken_transfer_leaves_nothing_behind()
    {
        Store("one").Put(Key, path => File.WriteAllBytes(path, new byte[100_000]));
        server.Misbehave = (context, path) =>
        {
            if (path.StartsWith("ac/", StringComparison.Ordinal))
            {
                return false;
            }

            context.Response.ContentLength64 = 100_000;
            context.Response.OutputStream.Write(new byte[60_000]);
            context.Response.Abort();
            return true;
        };
        Store("two").Find(Key).ShouldBeNull();
        Files("two").ShouldBeEmpty();
        Warning().ShouldContain("the build goes on with its own cache");
    }

    [Theory]
    [InlineData(500, "500 InternalServerError")]
    [InlineData(302, "302 Found")]
    [InlineData(401, "401 Unauthorized when it was asked for a result (the environment variable PIPELINEDSL_CACHE_TOKEN")]
    public void A_server_that_refuses_is_asked_once(int status, string said)
    {
        server.Misbehave = (context, _) =>
        {
            context.Response.StatusCode = status;
            context.Response.RedirectLocation = status == 302 ? "http://127.0.0.1:1/elsewhere" : null;
            return true;
        };
        GoOnAlone(Store("one"));
        server.Requests.ShouldHaveSingleItem();
        Warning().ShouldContain(said);
    }

    [Theory]
    [InlineData("<html>Welcome to the hotel's network</html>")]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85")]
    [InlineData("../../../../../../../../../../../../../../../../../../etc/passwd ")]
    public void An_answer_that_is_no_digest_is_not_believed(string answer)
    {
        server.Files["ac/" + Key] = System.Text.Encoding.ASCII.GetBytes(answer);
        GoOnAlone(Store("one"));
        Warning().ShouldContain("no digest");
    }

    [Fact]
    public void An_answer_without_an_end_is_not_read_to_its_end()
    {
        long sent = 0;
        server.Misbehave = (context, _) =>
        {
            context.Response.SendChunked = true;
            for (byte[] piece = new byte[1 << 16]; ; sent += piece.Length)
            {
                context.Response.OutputStream.Write(piece);
            }
        };
        GoOnAlone(Store("one"));
        Warning().ShouldContain("no digest");
        Interlocked.Read(ref sent).ShouldBeLessThan(64 << 20);
    }

    [Fact]
    public void A_claimed_length_beyond_all_reason_is_not_waited_for()
    {
        string digest = new('a', 64);
        server.Files["ac/" + Key] = System.Text.Encoding.ASCII.GetBytes(digest);
        server.Misbehave = Only("cas/", (context, _) =>
        {
            context.Response.ContentLength64 = long.MaxValue;
            context.Response.OutputStream.Write(new byte[10]);
            return Wait();
        });
        var watch = Stopwatch.StartNew();
        Store("one").Find(Key).ShouldBeNull();
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));
        Warning().ShouldContain("longer than any result");
        Files("one").ShouldBeEmpty();
    }

    [Theory]
    [InlineData("ac/")]
    [InlineData("cas/")]
    public void A_silent_server_is_left_alone(string place)
    {
        Store("zero").Put(Key, path => File.WriteAllText(path, "result"));
        server.Misbehave = Only(place, (_, _) => Wait());
        var watch = Stopwatch.StartNew();
        GoOnAlone(Store("one", patience: 0.5));
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));
        Warning().ShouldContain("was silent for 0.5 s");
    }

    [Fact]
    public void A_server_that_trickles_is_left_alone()
    {
        Store("zero").Put(Key, path => File.WriteAllBytes(path, new byte[10_000]));
        server.Misbehave = Only("cas/", (context, _) =>
        {
            context.Response.ContentLength64 = 10_000;
            for (int i = 0; i < 10_000; i++)
            {
                context.Response.OutputStream.Write(new byte[1]);
                context.Response.OutputStream.Flush();
                Thread.Sleep(50);
            }

            return true;
        });
        GoOnAlone(Store("one", patience: 3));
        Warning().ShouldContain("sends too slowly");
    }

    [Fact]
    public void A_server_that_is_down_is_one_warning_for_many_results()
    {
        server.Dispose();
        var store = Store("one");
        GoOnAlone(store);
        Warning().ShouldContain("cannot be talked to");
    }

    [Fact]
    public void A_server_that_takes_nothing_is_read_on()
    {
        Store("zero").Put(Key, path => File.WriteAllText(path, "result"));
        server.Misbehave = (context, _) =>
        {
            bool puts = context.Request.HttpMethod == "PUT";
            context.Response.StatusCode = puts ? 403 : 200;
            return puts;
        };
        var store = Store("one");
        store.Put(OtherKey, path => File.WriteAllText(path, "other"));
        store.Put(OtherKey, path => File.WriteAllText(path, "other"));
        store.Find(Key).ShouldNotBeNull();
        Warning().ShouldContain("set PipelineDslCacheReadOnly");
        server.Requests.Count(request => request.Method == "PUT").ShouldBe(2 + 1);
    }

    [Fact]
    public void A_machine_that_only_reads_puts_nothing()
    {
        Store("zero").Put(Key, path => File.WriteAllText(path, "result"));
        var laptop = Store("one", readOnly: true);
        laptop.Find(Key).ShouldNotBeNull();
        laptop.Put(OtherKey, path => File.WriteAllText(path, "other"));
        server.Files.Count.ShouldBe(2);
        laptop.Find(OtherKey).ShouldNotBeNull();
        reported.ShouldBeEmpty();
    }

    [Fact]
    public void The_token_goes_with_every_request_and_into_no_message()
    {
        var store = Store("one", token: "s3cret");
        store.Find(Key);
        store.Put(Key, path => File.WriteAllText(path, "result"));
        server.Requests.Count.ShouldBe(3);
        server.Requests.ShouldAllBe(request => request.Authorization == "Bearer s3cret");
        server.Misbehave = (context, _) =>
        {
            context.Response.StatusCode = 401;
            return true;
        };
        store.Find(OtherKey);
        Warning().ShouldNotContain("s3cret");
    }

    [Theory]
    [InlineData("https://cache.example/a/b", "https://cache.example/a/b/")]
    [InlineData("http://cache.example:8080/", "http://cache.example:8080/")]
    [InlineData("https://user:word@cache.example/", null)]
    [InlineData("https://cache.example/?a=b", null)]
    [InlineData("ftp://cache.example/", null)]
    [InlineData("/var/cache", null)]
    [InlineData("cache.example", null)]
    public void An_address_is_read_or_refused(string text, string? expected) => CacheServer.ParseAddress(text)?.ToString().ShouldBe(expected);

    [Fact]
    public void A_second_machine_solves_nothing_and_leaves_the_same_bytes()
    {
        using var project = new TwoLayersProject();
        var pipeline = new TwoLayersPipeline(TwoLayersProject.Recipe(
            ("first", [new Decompose { Rank = 4, Orientation = Orientation.Whitened }]),
            ("second", [new Quantize { Bits = 8, GroupSize = 8 }])));
        var first = project.NewRun("models1", "cache1", server: server.Settings());
        first.Execute(pipeline);
        first.SolvedLayers.ShouldBe(["first", "second"]);

        var second = project.NewRun("models2", "cache2", server: server.Settings(readOnly: true));
        int puts = server.Requests.Count(request => request.Method == "PUT");
        second.Execute(pipeline);
        second.Journal.ShouldBe(["recipe small solved=0 cached=2"]);
        server.Requests.Count(request => request.Method == "PUT").ShouldBe(puts);
        second.Bytes(ArtifactFiles.Weights).ShouldBe(first.Bytes(ArtifactFiles.Weights));
        first.Diagnostics.ShouldBeEmpty();
        second.Diagnostics.ShouldBeEmpty();
    }

    [Fact]
    public void A_run_with_a_server_that_is_down_ends_with_one_warning()
    {
        using var project = new TwoLayersProject();
        server.Dispose();
        var run = project.NewRun(server: server.Settings());
        run.Execute(new TwoLayersPipeline(TwoLayersProject.Recipe(("*", [new Quantize { Bits = 8, GroupSize = 8 }]))));
        run.SolvedLayers.Count().ShouldBe(3);
        run.Diagnostics.ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.CacheServerFailed);
    }

    void IRunObserver.Report(RecipeDiagnostic diagnostic) => reported.Add(diagnostic);

    void IRunObserver.Progress(string message)
    {
    }

    void IRunObserver.Record(string entry)
    {
    }

    private static bool Wait()
    {
        Thread.Sleep(3000);
        return true;
    }

    private static Func<HttpListenerContext, string, bool> Only(string place, Func<HttpListenerContext, string, bool> answer) =>
        (context, path) => context.Request.HttpMethod == "GET" && path.StartsWith(place, StringComparison.Ordinal) && answer(context, path);

    /// <summary>Nothing is found, everything is stored at home, and the server hears of it once at most.</summary>
    private static void GoOnAlone(ContentStore store)
    {
        store.Find(Key).ShouldBeNull();
        store.Find(OtherKey).ShouldBeNull();
        store.Put(Key, path => File.WriteAllText(path, "own"));
        File.ReadAllText(store.Find(Key)!).ShouldBe("own");
    }

    private string Warning()
    {
        var warning = reported.ShouldHaveSingleItem();
        (warning.Id, warning.Severity, warning.Span.Path).ShouldBe((DiagnosticIds.CacheServerFailed, Severity.Warning, "App.csproj"));
        return warning.Message;
    }

    private string[] Files(string machine) =>
        Directory.Exists(Path.Combine(folder, machine)) ? Directory.GetFiles(Path.Combine(folder, machine), "*", SearchOption.AllDirectories) : [];

    private ContentStore Store(string machine, bool readOnly = false, string? token = null, double patience = 10) =>
        new(Path.Combine(folder, machine), remote: new RemoteStore(server.Settings(readOnly, token, patience), this));
}
