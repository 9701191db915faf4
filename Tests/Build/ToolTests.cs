using System.Text.Json;

namespace PipelineDsl.Build.Tests;

/// <summary>The command line as users get it: installed from its package, used on a project that was made as theirs are.</summary>
public sealed class ToolTests : IDisposable
{
    private const string Models = "bin/Debug/net10.0/models";

    private readonly Project project;
    private readonly string tool;

    public ToolTests(Product product)
    {
        project = new(product);
        string folder = project.InFolder("../tools");
        CommandResult installed = Command.Run(project.Folder, "tool", "install", "PipelineDsl.Tool", "--tool-path", folder, "--source", Product.Packages, "--version", product.Version);
        installed.ExitCode.ShouldBe(0, installed.Output);
        tool = Path.Combine(folder, OperatingSystem.IsWindows() ? "pipeline.exe" : "pipeline");
    }

    public void Dispose() => project.Dispose();

    [Fact]
    public void Installed_it_looks_at_the_machine_into_weights_and_ahead_of_a_build()
    {
        project.Build();

        JsonElement machine = Json("doctor");
        machine.GetProperty("healthy").GetBoolean().ShouldBeTrue();
        machine.GetProperty("checks").EnumerateArray().Single(check => check.GetProperty("name").GetString() == "libtorch").GetProperty("text").GetString()!.ShouldContain("loaded in ");
        Json("inspect", "weights/mlp.safetensors").GetProperty("tensors").EnumerateArray().Select(tensor => tensor.GetProperty("name").GetString())
            .ShouldBe(["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]);
        string plan = Pipeline("plan");
        plan.ShouldStartWith("tiny: Demo.Mlp on cpu");
        plan.ShouldContain("nothing is left to compute");
    }

    [Fact]
    public void First_recipes_build_at_once_and_their_artifacts_are_told_measured_and_compared()
    {
        File.Delete(project.InFolder("tiny.recipe.yaml"));
        project.WriteData();
        File.WriteAllBytes(project.InFolder("data/test.safetensors"), Weights.Data(seed: 4));

        foreach (var (goal, name) in ((string, string)[])[("size", "small"), ("speed", "fast"), ("finetune", "tuned")])
        {
            string said = Pipeline("init", "--goal", goal);
            said.ShouldContain($"{name}.recipe.yaml: Demo.Mlp from weights/mlp.safetensors");
            said.ShouldContain("see what it would do with 'pipeline plan', and build it with 'pipeline run'");
        }

        project.Build();
        project.Files(Models).Where(file => file.EndsWith("manifest.json", StringComparison.Ordinal)).ShouldBe(["fast/manifest.json", "small/manifest.json", "tuned/manifest.json"]);

        string[] ran = Pipeline("run").Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        ran.Select(line => line.Split(' ')[0]).ShouldBe(["recipe", "fast", "small", "tuned", "built"]);
        Json("run").GetProperty("succeeded").GetBoolean().ShouldBeTrue();
        Json("report").GetProperty("artifacts").EnumerateArray().Select(artifact => artifact.GetProperty("quality").GetProperty("metric").GetString()).ShouldBe(["loss", "loss", "loss"]);
        foreach (JsonElement measured in Json("eval").GetProperty("recipes").EnumerateArray())
        {
            measured.GetProperty("compressed").GetDouble().ShouldBe(measured.GetProperty("recordedCompressed").GetDouble(), 1e-9);
        }

        Pipeline("eval").ShouldContain("original");
        Pipeline("diff", $"{Models}/small", $"{Models}/fast").ShouldContain("~  fc1");
        Json("diff", $"{Models}/small", $"{Models}/fast").GetProperty("layers").GetArrayLength().ShouldBe(2);
    }

    /// <summary>A command that must succeed.</summary>
    private string Pipeline(params IEnumerable<string> arguments)
    {
        CommandResult result = Command.RunTool(tool, project.Folder, arguments);
        result.ExitCode.ShouldBe(0, result.Output);
        return result.Output;
    }

    /// <summary>The whole output, which must be one document.</summary>
    private JsonElement Json(params IEnumerable<string> arguments) => JsonDocument.Parse(Pipeline([.. arguments, "--json"])).RootElement;
}
