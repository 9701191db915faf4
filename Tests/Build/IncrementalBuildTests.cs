using System.Text.Json;

namespace PipelineDsl.Build.Tests;

/// <summary>What runs when: the host's journal tells.</summary>
public sealed class IncrementalBuildTests(Product product) : IDisposable
{
    private const string Models = "bin/Debug/net10.0/models";
    private readonly Project project = new(product);

    public void Dispose() => project.Dispose();

    [Fact]
    public void First_build_makes_the_artifact_and_the_second_runs_no_host()
    {
        project.Build();
        project.Files(Models).ShouldContain("tiny/model.safetensors");
        project.Files(Models).ShouldContain("tiny/manifest.json");
        string[] journal = project.Journal;
        journal.ShouldNotBeEmpty();

        project.Build("--no-restore");
        project.Journal.ShouldBe(journal);
    }

    [Fact]
    public void Edited_recipe_new_weights_changed_options_and_an_added_recipe_run_it_again()
    {
        project.Build();
        int runs = project.Journal.Length;

        project.WriteRecipe("tiny", bits: 4);
        project.Build("--no-restore");
        project.Journal.Length.ShouldBeGreaterThan(runs);
        runs = project.Journal.Length;

        project.WriteWeights(seed: 2);
        project.Build("--no-restore");
        project.Journal.Length.ShouldBeGreaterThan(runs);
        runs = project.Journal.Length;

        project.Build("--no-restore", "-p:PipelineDslThreads=1");
        project.Journal.Length.ShouldBeGreaterThan(runs);
        runs = project.Journal.Length;

        project.WriteRecipe("small", bits: 3);
        project.Build("--no-restore", "-p:PipelineDslThreads=1");
        Solved(project.Journal[runs..]).ShouldBe(["layer small fc1", "layer small fc2"]);
        project.Files(Models).ShouldContain("small/model.safetensors");
    }

    [Fact]
    public void A_change_of_the_application_calibrates_nothing_again_and_a_change_of_the_model_does()
    {
        project.WriteData();
        project.Write("tiny.recipe.yaml", """
            recipe: tiny
            model: Demo.Mlp
            weights: weights/mlp.safetensors
            calibrate: { data: data/data.safetensors }
            steps:
              - match: fc2
                decompose: { rank: 2, orientation: context }

            """);
        project.Build();
        int Calibrations() => project.Journal.Count(entry => entry.StartsWith("statistics tiny", StringComparison.Ordinal));
        Calibrations().ShouldBe(1);

        project.Write("Other.cs", "namespace Demo; public static class Other { public static string Text => $\"{new Mlp()}\"; }");
        project.Write("Program.cs", "Console.WriteLine(Demo.Other.Text + string.Join(',', new[] { 1, 2, 3, 4, 5, 6, 7, 8 }));");
        project.Build("--no-restore");
        project.Journal.Count(entry => entry == "run").ShouldBe(2);
        Calibrations().ShouldBe(1);

        project.Write("Mlp.cs", File.ReadAllText(project.InFolder("Mlp.cs")).Replace("relu", "silu", StringComparison.Ordinal));
        project.Build("--no-restore");
        Calibrations().ShouldBe(2);
    }

    [Fact]
    public void Missing_artifact_is_made_again()
    {
        project.Build();
        File.Delete(project.InFolder("obj/Debug/net10.0/pipeline/models/tiny/model.safetensors"));

        project.Build("--no-restore");
        project.Exists("obj/Debug/net10.0/pipeline/models/tiny/model.safetensors").ShouldBeTrue();
    }

    [Fact]
    public void Deleted_recipe_removes_its_files_from_output()
    {
        project.WriteRecipe("small", bits: 4);
        project.Build();
        project.Files(Models).ShouldContain("small/model.safetensors");

        File.Delete(project.InFolder("small.recipe.yaml"));
        project.Build("--no-restore");
        project.Files(Models).ShouldContain("tiny/model.safetensors");
        project.Files(Models).ShouldNotContain(path => path.StartsWith("small/"));

        File.Delete(project.InFolder("tiny.recipe.yaml"));
        project.Build("--no-restore");
        project.Files(Models).ShouldBeEmpty();
        project.Files("obj/Debug/net10.0/pipeline/models").ShouldBeEmpty();
    }

    [Fact]
    public void Failed_run_fails_again_and_leaves_the_previous_artifact()
    {
        project.Build();
        byte[] before = File.ReadAllBytes(project.InFolder($"{Models}/tiny/model.safetensors"));
        File.WriteAllBytes(project.InFolder("weights/mlp.safetensors"), Weights.File(seed: 1)[..100]);

        for (int attempt = 0; attempt < 2; attempt++)
        {
            CommandResult result = project.DotNet("build", "--no-restore");
            result.ExitCode.ShouldNotBe(0);
            result.Output.ShouldContain("error PDSL3");
            var run = Log();
            run.GetProperty("invocations")[0].GetProperty("executionSuccessful").GetBoolean().ShouldBeFalse();
            var said = run.GetProperty("results").EnumerateArray().ShouldHaveSingleItem();
            said.GetProperty("level").GetString().ShouldBe("error");
            result.Output.ShouldContain($"error {said.GetProperty("ruleId").GetString()}: {said.GetProperty("message").GetProperty("text").GetString()}");
            said.GetProperty("locations")[0].GetProperty("physicalLocation").GetProperty("artifactLocation").GetProperty("uri").GetString().ShouldBe("weights/mlp.safetensors");
        }

        File.ReadAllBytes(project.InFolder($"{Models}/tiny/model.safetensors")).ShouldBe(before);
        project.WriteWeights(seed: 1);
        project.Build("--no-restore");
        Log().GetProperty("invocations")[0].GetProperty("executionSuccessful").GetBoolean().ShouldBeTrue();
        Log().GetProperty("results").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public void Clean_removes_what_the_build_made_and_the_next_build_takes_it_from_the_cache()
    {
        project.Build();
        byte[] made = File.ReadAllBytes(project.InFolder($"{Models}/tiny/model.safetensors"));
        project.Succeed("clean");

        project.Files(Models).ShouldBeEmpty();
        project.Files("obj/Debug/net10.0/pipeline").ShouldBeEmpty();

        project.Build("--no-restore");
        Solved(project.Journal).ShouldBeEmpty();
        File.ReadAllBytes(project.InFolder($"{Models}/tiny/model.safetensors")).ShouldBe(made);

        project.Build("--no-restore", "-t:Rebuild");
        Solved(project.Journal).ShouldBeEmpty();
        project.Exists($"{Models}/tiny/model.safetensors").ShouldBeTrue();
    }

    [Fact]
    public void Up_to_date_build_says_again_what_the_last_run_warned_of()
    {
        File.AppendAllText(project.InFolder("tiny.recipe.yaml"), "export: gptq\n");
        string[] said = Warnings(project.Build());
        said.ShouldNotBeEmpty();
        said.ShouldAllBe(line => line.StartsWith($"{project.InFolder("tiny.recipe.yaml")}(7,9,7,13): warning PDSL3016: export 'gptq' ", StringComparison.Ordinal));
        string[] journal = project.Journal;

        Warnings(project.Build("--no-restore")).ShouldBe(said);
        project.Journal.ShouldBe(journal);
    }

    [Fact]
    public void Design_time_build_runs_nothing()
    {
        project.Succeed("restore");
        project.Succeed("msbuild", "-t:ResolveReferences;Compile;GetTargetPath", "-p:DesignTimeBuild=true", "-p:SkipCompilerExecution=true", "-p:ProvideCommandLineArgs=true", "-p:BuildingInsideVisualStudio=true");

        project.Files("obj/Debug/net10.0/pipeline").ShouldBeEmpty();
    }

    [Theory]
    [InlineData("no recipe")]
    [InlineData("switched off")]
    public void Nothing_runs_when(string reason)
    {
        if (reason == "no recipe")
        {
            File.Move(project.InFolder("tiny.recipe.yaml"), project.InFolder("tiny-recipe.yaml"));
        }

        string said = project.Build(reason == "switched off" ? ["-p:PipelineDslEnabled=false"] : []);
        project.Journal.ShouldBeEmpty();
        project.Files(Models).ShouldBeEmpty();
        if (reason == "no recipe")
        {
            said.ShouldContain($"{project.InFolder("tiny-recipe.yaml")}(1,1,1,1): warning PDSL2007: ");
        }
    }

    [Fact]
    public void Two_clean_builds_make_the_same_bytes()
    {
        using var twin = new Project(product, "Elsewhere");
        project.Build();
        twin.Build();

        foreach (string file in new[] { "tiny/model.safetensors", "tiny/manifest.json" })
        {
            File.ReadAllBytes(twin.InFolder($"{Models}/{file}")).ShouldBe(File.ReadAllBytes(project.InFolder($"{Models}/{file}")), file);
        }
    }

    private static string[] Warnings(string output) => [.. output.Split('\n').Select(line => line.Trim()).Where(line => line.Contains(": warning PDSL", StringComparison.Ordinal)).Distinct().Order(StringComparer.Ordinal)];

    private static string[] Solved(string[] journal) => [.. journal.Where(entry => entry.StartsWith("layer ", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>The run that the log for services tells of.</summary>
    private JsonElement Log()
    {
        using var log = JsonDocument.Parse(File.ReadAllText(project.InFolder("obj/Debug/net10.0/pipeline/report.sarif")));
        return log.RootElement.GetProperty("runs")[0].Clone();
    }
}
