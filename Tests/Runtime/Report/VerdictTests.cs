using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class VerdictTests
{
    private static readonly Manifest Example = ExampleBuild.Manifest;

    [Fact]
    public void Outcome_is_told_in_plain_words() => Verdict.Sentence(Example).ShouldBe(
        "The compressed model takes 360 KB instead of 1.12 MB: 68.6% of the space is saved. Its perplexity is 12.576, and was 12.306: 2.19% worse. The recipe allows a loss of 5%.");

    [Fact]
    public void Unmeasured_quality_is_admitted() => Verdict.Sentence(Example with { Quality = null }).ShouldEndWith("The recipe does not measure quality, so nothing is known about it.");

    [Theory]
    [InlineData(0.1, "10.0% worse", false)]
    [InlineData(0.05, "5.00% worse", true)]
    [InlineData(0, "unchanged", true)]
    [InlineData(-0.01, "1.00% better", true)]
    [InlineData(double.NaN, "not comparable", false)]
    public void Change_of_quality_is_judged_by_the_limit(double regression, string change, bool passed)
    {
        var manifest = Example with { Quality = Example.Quality! with { Regression = regression } };
        Verdict.Change(manifest.Quality).ShouldBe(change);
        Verdict.Passed(manifest).ShouldBe(passed);
    }

    [Fact]
    public void Without_a_limit_there_is_no_gate()
    {
        var manifest = Example with { Quality = Example.Quality! with { MaxRegression = null } };
        Verdict.Passed(manifest).ShouldBeNull();
        Verdict.Sentence(manifest).ShouldEndWith("The recipe sets no limit.");
    }
}
