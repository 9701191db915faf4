using PipelineDsl.Cli.Projects;
using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline run</c>, with projects whose targets say what those of the product say.</summary>
public sealed class RunTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_build_tells_its_progress_and_what_it_made()
    {
        string project = Project("""
            <Message Importance="high" Text="tiny: planning" />
            <Message Importance="high" Text="tiny: 3 of 4 layers, last fc1 in 0.1 s, about 2 s to go" />
            <Message Importance="high" Text="App -> bin/App.dll" />
            <Warning Code="PDSL1017" File="a.recipe.yaml" Text="something" />
            <Copy SourceFiles="made.json" DestinationFiles="bin/$(Configuration)/net10.0/models/tiny/manifest.json" />
            """);

        var result = Cli.Run("run", project, "-c", "Release", "-p", "Extra=1");
        result.ExitCode.ShouldBe(ExitCodes.Fine, result.Errors);
        result.Lines[0].ShouldBe("tiny: planning");
        result.Lines[1].ShouldBe("tiny: 3 of 4 layers, last fc1 in 0.1 s, about 2 s to go");
        result.Lines[2].ShouldStartWith("recipe");
        result.Lines[3].ShouldStartWith("tiny");
        result.Lines[4].ShouldStartWith("built in ");
        result.Errors.ShouldEndWith("a.recipe.yaml : warning PDSL1017: something\n");
        File.Exists(folder["bin/Release/net10.0/models/tiny/manifest.json"]).ShouldBeTrue();
    }

    [Fact]
    public void A_program_gets_one_document_whether_the_build_succeeds_or_not()
    {
        string project = Project("""
            <Message Importance="high" Text="tiny: planning" />
            <Error Code="PDSL1009" File="a.recipe.yaml" Text="rank 200 is too large" Condition="'$(PipelineDslDevice)' == 'cpu'" />
            <Copy SourceFiles="made.json" DestinationFiles="bin/$(Configuration)/net10.0/models/tiny/manifest.json" />
            """);

        var failed = Cli.Run("run", project, "--json", "--device", "cpu");
        failed.ExitCode.ShouldBe(ExitCodes.Diagnosed);
        failed.Errors.ShouldContain("a.recipe.yaml : error PDSL1009: rank 200 is too large\n");
        failed.Json.GetProperty("succeeded").GetBoolean().ShouldBeFalse();
        failed.Json.GetProperty("diagnostics")[0].GetProperty("code").GetString().ShouldBe("PDSL1009");

        var done = Cli.Succeed("run", project, "--json");
        done.Json.GetProperty("artifacts")[0].GetProperty("recipe").GetString().ShouldBe("tiny");
    }

    [Fact]
    public void A_project_without_recipes_is_told_how_to_begin() =>
        Cli.Run("run", Project("")).Errors.ShouldContain("error PDSL2006: ");

    [Theory]
    [InlineData("--device", "tpu")]
    [InlineData("-p", "nothing")]
    [InlineData("--locked", "--update-lock")]
    public void Settings_that_cannot_be_are_mistakes_of_usage(params string[] more) => Cli.Run(["run", .. more]).ExitCode.ShouldBe(ExitCodes.Usage);

    [Fact]
    public void A_broken_off_build_ends_as_shells_expect()
    {
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        Cli.Run(soon.Token, "run", Project("""<Exec Command="sleep 60" />""")).ExitCode.ShouldBe(ExitCodes.Cancelled);
    }

    [Theory]
    [InlineData("/a/b.recipe.yaml(8,23,8,26): error PDSL1009: rank 200 exceeds it (layer 'a') [/a/App.csproj]", "/a/b.recipe.yaml", 8, 23, "PDSL1009", "rank 200 exceeds it (layer 'a')")]
    [InlineData("/a/C.cs(3,5): warning CS0169: The field is never used [/a/App.csproj::TargetFramework=net10.0]", "/a/C.cs", 3, 5, "CS0169", "The field is never used")]
    [InlineData("MSBUILD : error MSB1009: Project file does not exist.", "MSBUILD", null, null, "MSB1009", "Project file does not exist.")]
    [InlineData("/a/App.csproj : error NU1101: Unable to find [x]", "/a/App.csproj", null, null, "NU1101", "Unable to find [x]")]
    public void Lines_that_editors_know_are_understood(string line, string file, int? row, int? column, string code, string message)
    {
        var diagnostic = BuildDiagnostic.Parse(line).ShouldNotBeNull();

        (diagnostic.File, diagnostic.Line, diagnostic.Column, diagnostic.Code, diagnostic.Message).ShouldBe((file, row, column, code, message));
        line.ShouldStartWith(diagnostic.Text);
        diagnostic.Text.ShouldEndWith(message);
    }

    [Theory]
    [InlineData("  tiny: step 30 of 120, loss 1.5", "tiny", 30, 120)]
    [InlineData("  tiny: 3 of 4 layers, last fc1", "tiny", 3, 4)]
    [InlineData("  tiny: perplexity 6.1 before", "tiny", null, null)]
    [InlineData("  App -> /a/bin/App.dll", null, null, null)]
    [InlineData("tiny: no pipeline speaks like this", null, null, null)]
    public void Lines_by_which_pipelines_tell_their_progress_are_understood(string line, string? recipe, int? done, int? total)
    {
        var progress = BuildProgress.Parse(line);

        (progress?.Recipe, progress?.Done, progress?.Total).ShouldBe((recipe, done, total));
    }

    private string Project(string tasks)
    {
        folder.Write("made.json", ManifestFile.Write(Samples.Manifest()));
        return folder.Write("App.proj", $"""
            <Project DefaultTargets="Build">
              <PropertyGroup><Configuration Condition="'$(Configuration)' == ''">Debug</Configuration></PropertyGroup>
              <Target Name="Restore" />
              <Target Name="Build">
                {tasks}
              </Target>
            </Project>
            """);
    }
}
