using System.Text.Json;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

namespace PipelineDsl.Tasks.Tests;

/// <summary>Runs the task with a shell script in the place of <c>dotnet</c>: what it hands over, and what it makes of the answers.</summary>
[Collection("environment")]
public sealed class CompressModelsTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("pdsl task ").FullName;
    private readonly BuildLog log = new();

    private string Request => Path.Combine(folder, $"request.{Environment.ProcessId}.json");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void The_request_says_all_that_the_host_needs()
    {
        Task("""for a in "$@"; do last="$a"; done; cp "$last" copy.json""").Execute().ShouldBeTrue();

        File.Exists(Request).ShouldBeFalse();
        using var request = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "copy.json")));
        JsonElement root = request.RootElement;
        root.GetProperty("schema").GetInt32().ShouldBe(1);
        (root.GetProperty("verb").GetString(), root.GetProperty("result").GetString()).ShouldBe(("build", ""));
        root.GetProperty("assembly").GetString().ShouldBe(Path.Combine(folder, "App.dll"));
        root.GetProperty("projectDirectory").GetString().ShouldBe(folder);
        root.GetProperty("cores").GetInt32().ShouldBe(1);
        root.GetProperty("parentProcess").GetInt32().ShouldBe(Environment.ProcessId);
        root.GetProperty("lockedMode").GetBoolean().ShouldBeTrue();
        root.GetProperty("memoryLimit").GetString().ShouldBe("2 GB");
        root.GetProperty("cacheUrl").GetString().ShouldBe("https://cache.example/models");
        root.GetProperty("cacheReadOnly").GetBoolean().ShouldBeTrue();
        root.GetProperty("nativeDirectory").GetString().ShouldBe("/natives");
        root.GetProperty("recipes")[0].GetString().ShouldBe(Path.Combine(folder, "tiny.recipe.yaml"));
    }

    [Theory]
    [InlineData("plan")]
    [InlineData("evaluate")]
    public void The_host_is_asked_for_something_else_than_a_build(string verb)
    {
        CompressModels task = Task("""for a in "$@"; do last="$a"; done; cp "$last" copy.json; echo 'progress:   fc1  16 × 8' """);
        task.Verb = verb;
        task.ResultFile = Path.Combine(folder, verb + ".json");
        task.Execute().ShouldBeTrue();

        using var request = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "copy.json")));
        request.RootElement.GetProperty("verb").GetString().ShouldBe(verb);
        request.RootElement.GetProperty("result").GetString().ShouldBe(task.ResultFile);
        Said(MessageImportance.High).ShouldBe(["  fc1  16 × 8"]);
    }

    [Fact]
    public void The_host_runs_on_the_staged_application_in_the_project_folder_with_its_own_environment()
    {
        Task("""for a in "$@"; do echo "progress: <$a>"; done; echo "progress: $PWD $PIPELINEDSL_LIBTORCH $OMP_WAIT_POLICY" """).Execute().ShouldBeTrue();

        Said(MessageImportance.High).ShouldBe(
        [
            "<exec>", "<--runtimeconfig>", $"<{folder}/Host.runtimeconfig.json>", "<--depsfile>", $"<{folder}/App.deps.json>",
            "<--additionalprobingpath>", "</packages>", $"<{folder}/Host.dll>", $"<{Request}>", $"{folder} /natives passive",
        ]);
        Environment.GetEnvironmentVariable("PIPELINEDSL_LIBTORCH").ShouldBeNull();
    }

    [Fact]
    public void Errors_and_warnings_land_on_the_users_line()
    {
        Task("""
            echo "/p/a.recipe.yaml(3,5,3,9): warning PDSL3014: rank 9 was too much"
            echo "/p/a.recipe.yaml(4,1): error PDSL3007: layer 'fc1' failed"
            exit 1
            """).Execute().ShouldBeFalse();

        BuildWarningEventArgs warning = log.Warnings.ShouldHaveSingleItem();
        (warning.File, warning.LineNumber, warning.ColumnNumber, warning.EndLineNumber, warning.EndColumnNumber, warning.Code).ShouldBe(("/p/a.recipe.yaml", 3, 5, 3, 9, "PDSL3014"));
        BuildErrorEventArgs error = log.Errors.ShouldHaveSingleItem();
        (error.Code, error.Message).ShouldBe(("PDSL3007", "layer 'fc1' failed"));
    }

    [Fact]
    public void A_host_that_dies_silently_is_reported_with_its_exit_code_and_last_words()
    {
        Task("echo 'Killed by the system' >&2; exit 137").Execute().ShouldBeFalse();

        BuildErrorEventArgs error = log.Errors.ShouldHaveSingleItem();
        error.Code.ShouldBe(Codes.HostCrashed);
        error.Message.ShouldNotBeNull().ShouldContain("137");
        error.Message.ShouldContain("Killed by the system");
    }

    [Fact]
    public void Free_text_on_the_error_stream_is_no_diagnostic()
    {
        Task("echo 'a.cs(1,1): error X1: quoted' >&2").Execute().ShouldBeTrue();

        log.Errors.ShouldBeEmpty();
        Said(MessageImportance.Low).ShouldContain("a.cs(1,1): error X1: quoted");
    }

    [Fact]
    public void A_missing_host_is_named()
    {
        CompressModels task = Task("exit 0");
        File.Delete(Path.Combine(folder, "Host.dll"));

        task.Execute().ShouldBeFalse();
        log.Errors.ShouldHaveSingleItem().Code.ShouldBe(Codes.HostNotFound);
    }

    [Fact]
    public async System.Threading.Tasks.Task A_cancelled_run_ends_at_once_and_blames_nobody()
    {
        CompressModels task = Task("sleep 60");
        var run = System.Threading.Tasks.Task.Run(task.Execute);
        await System.Threading.Tasks.Task.Delay(500);
        task.Cancel();

        (await run.WaitAsync(TimeSpan.FromSeconds(20))).ShouldBeFalse();
        log.Errors.ShouldBeEmpty();
    }

    private IEnumerable<string?> Said(MessageImportance importance) =>
        log.Messages.Where(message => message.Importance == importance && message is not TaskCommandLineEventArgs).Select(message => message.Message);

    private CompressModels Task(string script)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-in for dotnet is a shell script");
        string dotnet = Path.Combine(folder, "dotnet");
        File.WriteAllText(dotnet, $"#!/bin/sh\n{script}\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(dotnet, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        foreach (string name in new[] { "Host.dll", "Host.runtimeconfig.json", "App.dll", "App.deps.json", "tiny.recipe.yaml" })
        {
            File.WriteAllText(Path.Combine(folder, name), "");
        }

        return new CompressModels
        {
            BuildEngine = log,
            HostPath = Path.Combine(folder, "Host.dll"),
            DotNetPath = dotnet,
            StagedAssembly = Path.Combine(folder, "App.dll"),
            DepsFile = Path.Combine(folder, "App.deps.json"),
            PackageFolders = [new TaskItem("/packages/")],
            ProjectFile = Path.Combine(folder, "App.csproj"),
            RequestFile = Path.Combine(folder, "request.json"),
            OutputDirectory = Path.Combine(folder, "models"),
            ArtifactsList = Path.Combine(folder, "artifacts.list"),
            Journal = Path.Combine(folder, "journal.log"),
            MemoryLimit = "2 GB",
            CacheUrl = "https://cache.example/models",
            CacheReadOnly = true,
            LockedMode = true,
            NativeDirectory = "/natives",
            Recipes = [new TaskItem(Path.Combine(folder, "tiny.recipe.yaml"))],
        };
    }
}
