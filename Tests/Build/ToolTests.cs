using System.Text.Json;

namespace PipelineDsl.Build.Tests;

/// <summary>The command line, installed from its package and used on a real project.</summary>
public sealed class ToolTests(Product product)
{
    [Fact]
    public void A_project_gets_a_recipe_from_the_tool_and_is_built_with_it()
    {
        using var project = new Project(product);
        File.Delete(project.InFolder("tiny.recipe.yaml"));
        CommandResult install = Command.Run(project.Folder, "tool", "install", "PipelineDsl.Tool", "--version", product.Version, "--tool-path", project.InFolder("../tools"));
        install.ExitCode.ShouldBe(0, install.Output);

        CommandResult init = Pipeline(project, "init", "--goal", "size", "--json");
        init.ExitCode.ShouldBe(0, init.Output);
        init.Output.ShouldNotContain("PDSL2006");
        var written = JsonDocument.Parse(init.Output).RootElement;
        written.GetProperty("model").GetString().ShouldBe("Demo.Mlp");
        written.GetProperty("weights").GetString().ShouldBe("weights/mlp.safetensors");
        project.Exists("small.recipe.yaml").ShouldBeTrue();

        CommandResult run = Pipeline(project, "run", "--json", "-p", "UseSharedCompilation=false");
        run.ExitCode.ShouldBe(0, run.Output);
        var artifact = JsonDocument.Parse(run.Output).RootElement.GetProperty("artifacts")[0];
        artifact.GetProperty("recipe").GetString().ShouldBe("small");
        artifact.GetProperty("bytes").GetProperty("after").GetInt64().ShouldBeLessThan(artifact.GetProperty("bytes").GetProperty("before").GetInt64());

        CommandResult inspect = Pipeline(project, "inspect", artifact.GetProperty("path").GetString()!);
        inspect.ExitCode.ShouldBe(0, inspect.Output);
        inspect.Output.ShouldContain("small: Demo.Mlp");
        Pipeline(project, "report").Output.ShouldContain("report.html");
        Pipeline(project, "init", "--goal", "size").ExitCode.ShouldBe(1);

        project.Write("small.recipe.yaml", File.ReadAllText(project.InFolder("small.recipe.yaml")).Replace("quantize:", "quantise:", StringComparison.Ordinal));
        CommandResult failed = Pipeline(project, "run");
        failed.ExitCode.ShouldBe(1);
        failed.Output.ShouldContain("error PDSL1003: 'quantise' is not a method");
    }

    private static CommandResult Pipeline(Project project, params string[] arguments) =>
        Command.RunTool(Path.Combine(project.InFolder("../tools"), OperatingSystem.IsWindows() ? "pipeline.exe" : "pipeline"), project.Folder, arguments);
}
