using System.Diagnostics;
using System.Reflection;
using PipelineDsl.Runtime.Execution;

namespace PipelineDsl.Runtime.Tests.Execution;

/// <summary>The kernel as processors without AVX-512 run it: the same tests, in a process that is not let use it.</summary>
public sealed class SmallerRegistersTests
{
    [Theory]
    [InlineData("EnableAVX512", "with AVX2")]
    [InlineData("EnableAVX2", "without the kernel")]
    public void Packed_weights_are_multiplied_without_AVX512(string switchedOff, string how)
    {
        Assert.SkipUnless(SixteenLanes.AreWhole, "this processor has no AVX-512, so all tests run so");
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["exec", Assembly.GetExecutingAssembly().Location, "-noColor", "-noLogo", "-class", typeof(PackedRunnerTests).FullName!, "-class", typeof(RunnerFactoryTests).FullName!])
        {
            RedirectStandardOutput = true,
            Environment = { [$"DOTNET_{switchedOff}"] = "0" },
        };
        using var process = Process.Start(start)!;
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, $"{how}: {said}");
        said.ShouldContain("Failed: 0");
    }
}
