using System.Text.Json;

namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline doctor</c>.</summary>
public sealed class DoctorTests : IDisposable
{
    private static readonly string[] Names = ["system", ".NET SDK", "C++ library", "libtorch", "CUDA", "cache"];

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_machine_that_builds_this_is_healthy()
    {
        var result = Cli.Succeed("doctor", "--json", "--cache", folder["cache"]);

        result.Json.GetProperty("healthy").GetBoolean().ShouldBeTrue();
        var checks = result.Json.GetProperty("checks").EnumerateArray().ToDictionary(check => check.GetProperty("name").GetString()!, check => check);
        checks.Keys.ShouldBe(Names);
        Text(checks[".NET SDK"]).ShouldMatch(@"^1\d\.");
        Text(checks["libtorch"]).ShouldStartWith("2.10.0");
        Text(checks["libtorch"]).ShouldContain("loaded in ");
        Text(checks["cache"]).ShouldContain("0 entries, 0 B, ");
    }

    [Fact]
    public void In_a_pipe_every_check_is_a_line()
    {
        string[] lines = Cli.Succeed("doctor", "--cache", folder["cache"]).Lines;

        lines.Length.ShouldBe(1 + Names.Length);
        lines.Skip(1).ShouldAllBe(line => line.StartsWith("ok ", StringComparison.Ordinal) || line.StartsWith("warning ", StringComparison.Ordinal));
    }

    [Fact]
    public void A_cache_that_cannot_be_used_is_bad_and_says_what_to_do()
    {
        string file = folder.Write("file", "not a folder");

        var result = Cli.Run("doctor", "--cache", Path.Combine(file, "cache"));
        result.ExitCode.ShouldBe(ExitCodes.Diagnosed);
        result.Output.ShouldContain("bad");
        result.Errors.ShouldContain("error PDSL3012: cache: ");
        result.Errors.ShouldContain("set PipelineDslCacheDirectory");
    }

    private static string Text(JsonElement check) => check.GetProperty("text").GetString()!;
}
