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

    /// <summary>In a process of its own: the variable is the whole process's.</summary>
    [Fact]
    public async Task A_folder_that_is_named_for_libtorch_and_does_not_hold_it_is_bad()
    {
        var environment = new Dictionary<string, string?> { ["PIPELINEDSL_LIBTORCH"] = folder.Path };

        var result = (await Child.Run(Child.DotNet, ["exec", typeof(CommandLine).Assembly.Location, "doctor", "--cache", folder["cache"]], TestContext.Current.CancellationToken, environment))!.Value;
        result.ExitCode.ShouldBe(ExitCodes.Diagnosed);
        result.Output.ShouldContain($"bad  libtorch     PIPELINEDSL_LIBTORCH names '{folder.Path}', which holds no '");
        result.Errors.ShouldContain("error PDSL3001: libtorch: PIPELINEDSL_LIBTORCH names");
        result.Errors.ShouldContain("; let it name the folder with the libraries of libtorch 2.10.0, or unset it");
    }

    private static string Text(JsonElement check) => check.GetProperty("text").GetString()!;
}
