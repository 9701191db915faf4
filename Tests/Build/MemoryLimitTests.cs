using System.Text.RegularExpressions;

namespace PipelineDsl.Build.Tests;

/// <summary>A build that may take no more memory than is said.</summary>
public sealed partial class MemoryLimitTests(Product product) : IDisposable
{
    private readonly Project project = new(product);

    public void Dispose() => project.Dispose();

    [Fact]
    public void A_limit_that_cannot_be_kept_is_refused_before_any_work_and_the_one_that_the_refusal_names_is_kept()
    {
        CommandResult refused = project.DotNet("build", "-p:PipelineDslMemoryLimit=100 MB");
        refused.ExitCode.ShouldNotBe(0);
        Match said = Refusal().Match(refused.Output);
        said.Success.ShouldBeTrue(refused.Output);
        project.Journal.ShouldBe(["run"]);
        project.Files("bin/Debug/net10.0/models").ShouldBeEmpty();

        CommandResult planned = project.DotNet("build", "--no-restore", "-t:PlanModels", "-p:PipelineDslMemoryLimit=100 MB");
        planned.ExitCode.ShouldNotBe(0);
        planned.Output.ShouldContain(said.Value);

        project.Build("--no-restore", $"-p:PipelineDslMemoryLimit={said.Groups["smallest"].Value}");
        project.Files("bin/Debug/net10.0/models").ShouldContain("tiny/model.safetensors");
    }

    [GeneratedRegex(@"tiny\.recipe\.yaml\(1,9,1,13\): error PDSL3022: recipe 'tiny' takes (?<smallest>\d+ MB) of memory at least and PipelineDslMemoryLimit allows 100 MB: .*; allow \k<smallest>")]
    private static partial Regex Refusal();
}
