using System.Diagnostics;

namespace PipelineDsl.Cli.Tests;

/// <summary>The command line as a whole.</summary>
public sealed class CommandLineTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("frobnicate")]
    [InlineData("inspect")]
    [InlineData("inspect", "a", "b")]
    [InlineData("inspect", "a", "--unknown")]
    [InlineData("cache", "frobnicate")]
    public void What_is_not_a_command_is_a_mistake_of_usage(params string[] arguments)
    {
        var result = Cli.Run(arguments);

        result.ExitCode.ShouldBe(ExitCodes.Usage);
        result.Output.ShouldBeEmpty();
        result.Errors.ShouldContain("see 'pipeline --help'");
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("inspect", "--help")]
    [InlineData("cache", "clear", "--help")]
    public void Help_is_a_result(params string[] arguments)
    {
        var result = Cli.Succeed(arguments);

        result.Output.ShouldContain("pipeline");
        result.Output.ShouldNotContain("\u001b");
        result.Output.ShouldNotContain("--probe");
    }

    [Fact]
    public void The_version_is_that_of_the_product() => Cli.Succeed("--version").Output.Trim().ShouldMatch(@"^\d+\.\d+\.\d+");

    [Fact]
    public void The_program_itself_writes_plain_lines_into_a_pipe()
    {
        string file = folder.Write("a.safetensors", Tensors.File(null, Tensors.Of("t", "F32", [1], 1f)));
        string program = Path.Combine(AppContext.BaseDirectory, "PipelineDsl.Cli.dll");
        using var process = Process.Start(new ProcessStartInfo("dotnet", ["exec", program, "inspect", file, "--stats"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();

        process.ExitCode.ShouldBe(0, process.StandardError.ReadToEnd());
        output.ShouldContain("t     F32    [1]        4  1.00  1.00  1.00    0         0");
        output.ShouldNotContain("\u001b");
    }
}
