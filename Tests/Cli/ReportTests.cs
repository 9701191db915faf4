using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline report</c> and <c>pipeline diff</c>.</summary>
public sealed class ReportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_newest_artifact_of_each_recipe_of_a_project_is_told()
    {
        folder.Write("App.csproj", "<Project />");
        Artifact("bin/Debug/net10.0/models/tiny", new DateTime(2026, 1, 1));
        string newest = Artifact("bin/Release/net10.0/models/tiny", new DateTime(2026, 1, 2));
        Artifact("bin/Debug/net10.0/models/other", new DateTime(2026, 1, 1), "other");
        Artifact("obj/Debug/net10.0/pipeline/models/gone", new DateTime(2026, 1, 3), "gone");

        var artifacts = Cli.Succeed("report", folder.Path, "--json").Json.GetProperty("artifacts");
        artifacts.EnumerateArray().Select(artifact => artifact.GetProperty("recipe").GetString()).ShouldBe(["other", "tiny"]);
        artifacts[1].GetProperty("path").GetString().ShouldBe(newest);
        artifacts[1].GetProperty("report").GetString().ShouldBe(Path.Combine(newest, "report.html"));
        string[] lines = Cli.Succeed("report", folder["App.csproj"]).Lines;
        lines[0].ShouldStartWith("recipe  before  after  smaller  metric      before   after  change  report");
        lines[2].ShouldStartWith("tiny     576 B  208 B    2.77×  perplexity  6.1000  6.4000  +4.92%  ");
    }

    [Fact]
    public void An_artifact_or_a_folder_of_them_needs_no_project()
    {
        Artifact("models/a", DateTime.UtcNow, "a");
        Artifact("models/b", DateTime.UtcNow, "b");

        Cli.Succeed("report", folder["models"]).Lines.Length.ShouldBe(3);
        Cli.Succeed("report", folder["models/a"]).Lines.Length.ShouldBe(2);
    }

    [Fact]
    public void On_a_terminal_the_path_of_a_report_is_in_one_piece()
    {
        string artifact = Artifact("a/path/that/is/longer/than/any/column/of/a/table/that/has/many/of/them/models/tiny", DateTime.UtcNow);

        string[] lines = Cli.RunOnTerminal("report", artifact).Lines;
        lines[^1].ShouldBe(Path.GetRelativePath(Directory.GetCurrentDirectory(), Path.Combine(artifact, "report.html")));
        lines[^2].ShouldStartWith("╰");
    }

    [Fact]
    public void On_a_terminal_a_mistake_is_one_line_however_long()
    {
        string place = folder[string.Concat(Enumerable.Repeat("a folder with many words/", 10))];

        Cli.RunOnTerminal("report", place).Errors.ShouldContain($"{place}(1,1,1,1): error PDSL2006: there is no project in '{place}'; name a project file or its folder");
    }

    [Fact]
    public void What_cannot_be_told_says_what_to_do()
    {
        Cli.Fail("PDSL2006", "report", folder.Path).ShouldContain("there is no project in");
        folder.Write("App.csproj", "<Project />");
        Cli.Fail("PDSL2006", "report", folder.Path).ShouldContain("has no artifacts; build it ('pipeline run')");
        folder.Write("Other.csproj", "<Project />");
        Cli.Fail("PDSL2006", "report", folder.Path).ShouldContain("holds 2 projects; name one of 'App.csproj', 'Other.csproj'");
        Cli.Fail("PDSL2006", "report", folder.Write("notes.txt", "")).ShouldContain("is no project");
    }

    [Fact]
    public void The_page_is_opened_when_asked()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the browser of this test is a shell script");
        string artifact = Artifact("models/tiny", DateTime.UtcNow);
        string browser = folder.Write("browser", $"#!/bin/sh\necho \"$1\" > '{folder["opened.part"]}' && mv '{folder["opened.part"]}' '{folder["opened"]}'\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(browser, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        string? before = Environment.GetEnvironmentVariable("BROWSER");
        Environment.SetEnvironmentVariable("BROWSER", browser);
        try
        {
            Cli.Succeed("report", artifact, "--open");
        }
        finally
        {
            Environment.SetEnvironmentVariable("BROWSER", before);
        }

        SpinWait.SpinUntil(() => File.Exists(folder["opened"]), TimeSpan.FromSeconds(20)).ShouldBeTrue();
        File.ReadAllText(folder["opened"]).Trim().ShouldBe(Path.Combine(artifact, "report.html"));
    }

    [Fact]
    public void Two_artifacts_are_compared()
    {
        string old = Artifact("old", DateTime.UtcNow);
        var manifest = Samples.Manifest();
        string current = folder.Write("new/manifest.json", ManifestFile.Write(manifest with { Layers = [manifest.Layers[0] with { Steps = ["decompose { rank: 3 }"], BytesAfter = 160 }] }));

        var result = Cli.Succeed("diff", old, Path.GetDirectoryName(current)!);
        result.Output.ShouldContain("fc1");
        result.Output.ShouldContain("128 → 160");
        Cli.Succeed("diff", old, Path.GetDirectoryName(current)!, "--json").Json.GetProperty("layers")[0].GetProperty("newBytes").GetInt64().ShouldBe(160);
    }

    [Fact]
    public void What_cannot_be_compared_says_so()
    {
        string artifact = Artifact("old", DateTime.UtcNow);

        Cli.Fail("PDSL1007", "diff", artifact, folder.Write("a.recipe.lock.yaml", "lock: 1\n"));
        Cli.Fail("PDSL3010", "diff", artifact, folder["nowhere"]);
    }

    private string Artifact(string path, DateTime written, string recipe = "tiny")
    {
        string manifest = folder.Write(path + "/manifest.json", ManifestFile.Write(Samples.Manifest(recipe)));
        folder.Write(path + "/report.html", "<html></html>");
        File.SetLastWriteTimeUtc(manifest, written);
        return folder[path];
    }
}
