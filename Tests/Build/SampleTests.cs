using System.Globalization;
using System.Text.RegularExpressions;

namespace PipelineDsl.Build.Tests;

/// <summary>The first command of the README.</summary>
public sealed class SampleTests
{
    private static readonly string Sample = Path.Combine(Product.Repository, "build", "sample.cs");

    [Fact]
    public void The_main_job_ends_with_a_table_and_has_nothing_to_do_the_second_time()
    {
        CommandResult first = Command.Run(Product.Repository, "run", Sample);
        first.ExitCode.ShouldBe(0, first.Output);
        foreach (string recipe in (string[])["balanced", "quality", "tiny"])
        {
            Match row = Row(recipe).Match(first.Output);
            row.Success.ShouldBeTrue(first.Output);
            Number(row, "after").ShouldBeLessThan(Number(row, "before"));
            Number(row, "perplexity").ShouldBe(6.12, 0.02);
            File.Exists(Path.Combine(Product.Repository, row.Groups["report"].Value)).ShouldBeTrue();
        }

        CommandResult second = Command.Run(Product.Repository, "run", Sample);
        second.ExitCode.ShouldBe(0, second.Output);
        second.Output.ShouldContain("everything is up to date");
        second.Output.ShouldContain("added no host run");
    }

    [Fact]
    public void A_model_is_fine_tuned_and_an_application_switches_between_what_it_learned()
    {
        CommandResult built = Command.Run(Product.Repository, "run", Sample, "--", "Tutor");
        built.ExitCode.ShouldBe(0, built.Output);
        foreach (string recipe in (string[])["arithmetic", "plays"])
        {
            Match row = Row(recipe).Match(built.Output);
            row.Success.ShouldBeTrue(built.Output);
            Number(row, "learned").ShouldBeLessThan(Number(row, "perplexity") / 2);
        }

        Used("no adapter again").ShouldBe(Used("no adapter"));
        Used("arithmetic, merged").ShouldBe(Used("arithmetic"));
        Used("arithmetic").Arithmetic.ShouldBeLessThan(Used("no adapter").Arithmetic / 2);
        Used("plays").Plays.ShouldBeLessThan(Used("no adapter").Plays / 2);
        Used("half of each").ShouldSatisfyAllConditions(
            half => half.Arithmetic.ShouldBeLessThan(Used("no adapter").Arithmetic / 2),
            half => half.Plays.ShouldBeLessThan(Used("no adapter").Plays / 2));

        (double Arithmetic, double Plays, string Text) Used(string adapters)
        {
            Match line = Regex.Match(built.Output, $@"^{adapters} +(?<arithmetic>[\d.]+) +(?<plays>[\d.]+) +(?<text>Question: .*)$", RegexOptions.Multiline);
            line.Success.ShouldBeTrue(built.Output);
            return (Number(line, "arithmetic"), Number(line, "plays"), line.Groups["text"].Value);
        }
    }

    private static double Number(Match row, string name) => double.Parse(row.Groups[name].Value, NumberStyles.Number, CultureInfo.InvariantCulture);

    private static Regex Row(string recipe) => new($@"^{recipe} +(?<before>[\d,]+) +(?<after>[\d,]+) +(?<perplexity>[\d.]+) +(?<learned>[\d.]+) +[\d.]+ s +(?<report>\S+)$", RegexOptions.Multiline);
}
