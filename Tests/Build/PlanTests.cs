using System.Text.Json;

namespace PipelineDsl.Build.Tests;

/// <summary>The targets that look without building.</summary>
public sealed class PlanTests(Product product) : IDisposable
{
    private const string Pipeline = "obj/Debug/net10.0/pipeline";

    private readonly Project project = new(product);

    public void Dispose() => project.Dispose();

    [Fact]
    public void A_plan_tells_what_a_build_would_do_and_leaves_nothing_but_its_file()
    {
        WriteRecipe(4);
        project.WriteRecipe("small", bits: 4);
        string said = project.Build("-t:PlanModels");
        said.ShouldContain("tiny: plan of Demo.Mlp on cpu");
        said.ShouldContain("small: plan of Demo.Mlp on cpu");
        said.ShouldContain("2 layers, 0 in the cache");
        said.ShouldContain(project.InFolder($"{Pipeline}/plan.json"));
        Layers().ShouldBe(["small fc1 solving", "small fc2 solving", "tiny fc1 solving", "tiny fc2 solving"]);
        project.Journal.ShouldBeEmpty();
        project.Files($"{Pipeline}/models").ShouldBeEmpty();
        project.Files("../cache").ShouldBeEmpty();
        project.Files("bin").ShouldNotContain(path => path.Contains("models"));
        project.Exists("tiny.recipe.lock.yaml").ShouldBeFalse();

        project.Build("--no-restore");
        string[] journal = project.Journal;
        project.Build("--no-restore", "-t:PlanModels").ShouldContain("nothing is left to compute");
        Layers().ShouldBe(["small fc1", "small fc2", "tiny fc1", "tiny fc2"]);
        project.Journal.ShouldBe(journal);

        WriteRecipe(3);
        CommandResult locked = project.DotNet("build", "--no-restore", "-t:PlanModels", "-p:PipelineDslLockedMode=true");
        locked.ExitCode.ShouldNotBe(0);
        locked.Output.ShouldContain("error PDSL3009");
        project.Exists($"{Pipeline}/plan.json").ShouldBeFalse();
        project.Build("--no-restore", "-t:PlanModels").ShouldContain("warning PDSL3009");
        Layers().ShouldBe(["small fc1", "small fc2", "tiny fc1", "tiny fc2 solving"]);

        project.Succeed("clean");
        project.Files(Pipeline).ShouldBeEmpty();
    }

    [Fact]
    public void Every_framework_is_planned_and_a_project_without_recipes_says_so()
    {
        project.Write("App.csproj", project.ProjectFile().Replace("<TargetFramework>net10.0</TargetFramework>", "<TargetFrameworks>net10.0</TargetFrameworks>"));
        project.Build("-t:PlanModels").ShouldContain("tiny: plan of Demo.Mlp on cpu");
        Layers().Length.ShouldBe(2);

        project.Write("Mlp.cs", File.ReadAllText(project.InFolder("Mlp.cs")).Replace("public sealed class", "[PipelineDsl.Recipe(\"attributes\", Weights = \"weights/mlp.safetensors\")]\npublic sealed partial class").Replace("private readonly Linear fc1", "[PipelineDsl.Quantize(Bits = 5)] private readonly Linear fc1"));
        File.Delete(project.InFolder("tiny.recipe.yaml"));
        project.Build("--no-restore", "-t:PlanModels").ShouldContain("quantize { bits: 5");
        Layers().ShouldBe(["attributes fc1 solving"]);

        project.Write("Mlp.cs", File.ReadAllText(project.InFolder("Mlp.cs")).Replace("[PipelineDsl.Recipe(\"attributes\", Weights = \"weights/mlp.safetensors\")]", "").Replace("[PipelineDsl.Quantize(Bits = 5)]", ""));
        project.Build("--no-restore", "-t:PlanModels").ShouldContain("App: nothing to plan");
        project.Exists($"{Pipeline}/plan.json").ShouldBeFalse();
    }

    /// <summary>The second framework is one that every system builds for without a download; its code is another.</summary>
    [Fact]
    public void Every_framework_has_a_plan_and_an_evaluation_of_its_own_wherever_they_are_written()
    {
        File.WriteAllBytes(project.InFolder("data.safetensors"), Weights.Data(seed: 3));
        WriteRecipe(4, "evaluate: { data: data.safetensors, metric: accuracy, maxRegression: 100% }");
        project.Write("App.csproj", project.ProjectFile("<EnableWindowsTargeting>true</EnableWindowsTargeting><DisableTransitiveFrameworkReferenceDownloads>true</DisableTransitiveFrameworkReferenceDownloads>")
            .Replace("<TargetFramework>net10.0</TargetFramework>", "<TargetFrameworks>net10.0;net10.0-windows</TargetFrameworks>"));
        string[] frameworks = ["net10.0", "net10.0-windows"];
        const string own = "$(MSBuildProjectDirectory)/own/$(TargetFramework).json";

        string said = project.Build("-m", "-t:PlanModels");
        frameworks.ShouldAllBe(framework => said.Contains(project.InFolder($"obj/Debug/{framework}/pipeline/plan.json")));
        frameworks.ShouldAllBe(framework => project.Exists($"obj/Debug/{framework}/pipeline/plan.json"));

        project.Build("--no-restore", "-m", "-t:PlanModels", $"-p:PipelineDslPlanFile={project.InFolder("plans/plan.json")}");
        project.Files("plans").ShouldBe(["plan.net10.0-windows.json", "plan.net10.0.json"]);
        // What fails for one framework is still asked of the others.
        CommandResult early = project.DotNet("build", "--no-restore", "-t:EvaluateModels");
        early.ExitCode.ShouldNotBe(0);
        frameworks.ShouldAllBe(framework => early.Output.Contains($"/{framework}/pipeline/models/tiny"));

        project.Write("App.csproj", File.ReadAllText(project.InFolder("App.csproj")).Replace("</PropertyGroup>", $"<PipelineDslPlanFile>{own}</PipelineDslPlanFile></PropertyGroup>"));
        project.Build("--no-restore", "-t:PlanModels");
        project.Files("own").ShouldBe(["net10.0-windows.json", "net10.0.json"]);

        project.Build("--no-restore");
        project.Build("--no-restore", "-m", "-t:EvaluateModels", $"-p:PipelineDslEvaluationFile={project.InFolder("found")}");
        frameworks.ShouldAllBe(framework => project.Exists($"found.{framework}"));
    }

    [Fact]
    public void An_artifact_is_measured_again_on_request()
    {
        File.WriteAllBytes(project.InFolder("data.safetensors"), Weights.Data(seed: 3));
        WriteRecipe(4, "evaluate: { data: data.safetensors, metric: accuracy, maxRegression: 100% }");
        CommandResult early = project.DotNet("build", "-t:EvaluateModels");
        early.ExitCode.ShouldNotBe(0);
        early.Output.ShouldContain("error PDSL3010: there is no artifact");

        project.Build("--no-restore");
        string said = project.Build("--no-restore", "-t:EvaluateModels");
        said.ShouldContain("100.0% is allowed: passed; the build measured");
        using var found = JsonDocument.Parse(File.ReadAllText(project.InFolder($"{Pipeline}/evaluation.json")));
        var recipe = found.RootElement.GetProperty("recipes")[0];
        recipe.GetProperty("compressed").GetDouble().ShouldBe(recipe.GetProperty("recordedCompressed").GetDouble(), 1e-9);
        recipe.GetProperty("passed").GetBoolean().ShouldBeTrue();
    }

    private string[] Layers()
    {
        using var plan = JsonDocument.Parse(File.ReadAllText(project.InFolder($"{Pipeline}/plan.json")));
        return [.. plan.RootElement.GetProperty("recipes").EnumerateArray().SelectMany(recipe => recipe.GetProperty("layers").EnumerateArray().Select(layer =>
            $"{recipe.GetProperty("recipe").GetString()} {layer.GetProperty("path").GetString()} {layer.GetProperty("waitsFor").GetString()}".TrimEnd()))];
    }

    private void WriteRecipe(int bits, string more = "") => project.Write("tiny.recipe.yaml", $$"""
        recipe: tiny
        model: Demo.Mlp
        weights: weights/mlp.safetensors
        steps:
          - match: fc1
            quantize: { bits: 8 }
          - match: fc2
            quantize: { bits: {{bits}} }
        {{more}}

        """);
}
