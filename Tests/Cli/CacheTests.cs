using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline cache</c>, over a store that the engine itself wrote.</summary>
public sealed class CacheTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void What_is_there_is_told_by_kind()
    {
        Fill();

        var json = Run("info", "--json").Json;
        json.GetProperty("entries").GetInt32().ShouldBe(4);
        json.GetProperty("kinds").EnumerateArray().ToDictionary(kind => kind.GetProperty("kind").GetString()!, kind => kind.GetProperty("entries").GetInt32())
            .ShouldBe(new Dictionary<string, int> { ["layer"] = 1, ["training"] = 1, ["statistics"] = 1, ["measurements"] = 1 }, ignoreOrder: true);
        string[] lines = Run("info").Lines;
        lines[0].ShouldStartWith($"{folder["cache"]}: 4 entries, ");
        lines.Length.ShouldBe(7);
        lines[^1].ShouldStartWith("all");
    }

    [Fact]
    public void Every_entry_is_listed()
    {
        Fill();

        var json = Run("list", "--json").Json;
        json.GetProperty("entries").EnumerateArray().Select(entry => entry.GetProperty("key").GetString()).ShouldBe([Key(1), Key(2), Key(3), Key(4)], ignoreOrder: true);
        Run("list").Lines.Length.ShouldBe(5);
    }

    [Fact]
    public void A_cache_that_is_not_there_is_empty()
    {
        Run("info").Lines.ShouldBe([$"{folder["cache"]}: 0 entries, 0 B"]);
        Run("list").Lines.ShouldBe([$"{folder["cache"]}: no entries"]);
        Run("verify").Lines.ShouldBe(["0 entries, 0 B: all as their digests say"]);
        Run("clear").Lines.ShouldBe(["0 entries deleted, 0 B free"]);
        Directory.Exists(folder["cache"]).ShouldBeFalse();
    }

    [Fact]
    public void Damage_is_found_and_dropped_when_asked()
    {
        Fill();
        string content = Store().Find(Key(4))!;
        File.AppendAllText(content, "1");

        var found = Cli.Run("cache", "verify", "--cache", folder["cache"]);
        found.ExitCode.ShouldBe(ExitCodes.Diagnosed);
        found.Errors.ShouldContain($"error PDSL3021: the content of entry {Key(4)} is not what its digest says");
        File.Exists(content).ShouldBeTrue();

        var dropped = Cli.Run("cache", "verify", "--drop", "--json", "--cache", folder["cache"]);
        dropped.ExitCode.ShouldBe(ExitCodes.Fine);
        dropped.Errors.ShouldContain("warning PDSL3021");
        dropped.Json.GetProperty("damaged")[0].GetString().ShouldBe(Key(4));
        File.Exists(content).ShouldBeFalse();
        Run("verify").Lines[0].ShouldStartWith("3 entries, ");
    }

    [Fact]
    public void Content_that_is_gone_is_damage_too()
    {
        Fill();
        File.Delete(Store().Find(Key(1))!);

        Cli.Run("cache", "verify", "--cache", folder["cache"]).ExitCode.ShouldBe(ExitCodes.Diagnosed);
    }

    [Fact]
    public void Old_entries_go_and_what_others_share_stays()
    {
        Fill();
        Store().Put(Key(5), path => File.WriteAllText(path, "0.5\n"));
        File.SetLastWriteTimeUtc(Path.Combine(folder["cache"], "ac", Key(4)[..2], Key(4)), DateTime.UtcNow.AddDays(-40));
        File.SetLastWriteTimeUtc(Path.Combine(folder["cache"], "ac", Key(1)[..2], Key(1)), DateTime.UtcNow.AddDays(-31));

        var json = Run("clear", "--older-than", "30d", "--json").Json;
        json.GetProperty("deleted").GetInt32().ShouldBe(2);
        json.GetProperty("freedBytes").GetInt64().ShouldBeGreaterThan(4);
        Store().Find(Key(4)).ShouldBeNull();
        Store().Find(Key(1)).ShouldBeNull();
        Store().Find(Key(5)).ShouldNotBeNull("its content was also that of a deleted entry");
        Store().Find(Key(2)).ShouldNotBeNull();
    }

    [Fact]
    public void Clearing_leaves_content_that_a_build_may_be_about_to_name()
    {
        Fill();
        string fresh = folder.Write("cache/cas/ff/" + new string('f', 64), "fresh");
        string stale = folder.Write("cache/cas/ee/" + new string('e', 64), "stale");
        File.SetLastWriteTimeUtc(stale, DateTime.UtcNow.AddHours(-2));

        Run("clear").Lines[0].ShouldStartWith("4 entries deleted, ");
        Directory.GetFiles(folder["cache/ac"], "*", SearchOption.AllDirectories).ShouldBeEmpty();
        Directory.GetFiles(folder["cache/cas"], "*", SearchOption.AllDirectories).ShouldBe([fresh]);
    }

    [Fact]
    public void A_cache_that_a_build_uses_is_not_cleared()
    {
        Fill();
        using (Store().Use(() => { }, default))
        using (Store().Use(() => { }, default))
        {
            Cli.Fail("PDSL2006", "cache", "clear", "--cache", folder["cache"]).ShouldContain("; wait for its end with --wait, or, where some build always runs, let builds use another folder (PipelineDslCacheDirectory) and clear this one then");
            Cli.Fail("PDSL2006", "cache", "clear", "--older-than", "0d", "--cache", folder["cache"]);
            Run("verify").Lines[0].ShouldStartWith("4 entries, ");
        }

        Run("clear").Lines[0].ShouldStartWith("4 entries deleted, ");
    }

    [Fact]
    public void Builds_are_waited_for_when_that_is_asked_for()
    {
        Fill();
        var build = Store().Use(() => { }, default)!;
        using (var broken = new CancellationTokenSource())
        {
            broken.Cancel();
            Cli.Run(broken.Token, "cache", "clear", "--wait", "--cache", folder["cache"]).ExitCode.ShouldBe(ExitCodes.Cancelled);
        }

        // The build ends when it hears that it is waited for.
        new StoreInventory(folder["cache"]).Clear(DateTime.UtcNow.AddDays(-1), build.Dispose, TestContext.Current.CancellationToken).ShouldBe((0, 0));
        Run("clear", "--wait").Lines[0].ShouldStartWith("4 entries deleted, ");
    }

    [Theory]
    [InlineData("30")]
    [InlineData("d")]
    [InlineData("-1d")]
    [InlineData("1w")]
    [InlineData("999999999d")]
    public void An_age_that_is_none_is_a_mistake_of_usage(string age)
    {
        Fill();
        var result = Cli.Run("cache", "clear", $"--older-than={age}", "--cache", folder["cache"]);

        result.ExitCode.ShouldBe(ExitCodes.Usage);
        result.Errors.ShouldContain($"--older-than is '{age}'");
        Store().Find(Key(1)).ShouldNotBeNull();
    }

    [Fact]
    public void A_broken_off_comparison_ends_as_shells_expect()
    {
        Fill();
        Cli.Run(new CancellationToken(canceled: true), "cache", "verify", "--cache", folder["cache"]).ExitCode.ShouldBe(ExitCodes.Cancelled);
    }

    private static string Key(int number) => new ContentKey("test").Add("number", number).ToString();

    private CliResult Run(string command, params string[] more) => Cli.Succeed(["cache", command, "--cache", folder["cache"], .. more]);

    private ContentStore Store() => new(folder["cache"]);

    private void Fill()
    {
        var store = Store();
        store.Put(Key(1), path => File.WriteAllBytes(path, Tensors.File("""{"solution":"{}"}""", Tensors.Of("weight", "F32", [1], 1f))));
        store.Put(Key(2), path => File.WriteAllBytes(path, Tensors.File("""{"outcome":"{}"}""", Tensors.Of("weight", "F32", [1], 2f))));
        store.Put(Key(3), path => File.WriteAllBytes(path, Tensors.File("""{"format":"pt"}""", Tensors.Of("gram", "F32", [1], 3f))));
        store.Number(Key(4), () => 0.5);
    }
}
