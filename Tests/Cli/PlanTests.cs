namespace PipelineDsl.Cli.Tests;

/// <summary><c>pipeline plan</c> and <c>pipeline eval</c>, with a project whose targets answer as those of the product do.</summary>
public sealed class PlanTests : IDisposable
{
    private const string Plan = """
        { "schema": 1, "recipes": [ { "recipe": "tiny", "model": "Demo.Mlp", "device": "cpu", "cores": 2, "seed": 0, "budget": null,
          "lock": { "path": "tiny.recipe.lock.yaml", "state": "differs", "differences": [ "fc1: quantize.bits 4, not 8" ] },
          "layers": [
            { "path": "fc1", "kind": "linear", "shape": [16, 8], "steps": [ "quantize { bits: 4 }" ], "summary": "quantize 4", "isOpen": false, "bytesBefore": 512, "bytesAfter": 96, "seconds": 0.5, "memoryBytes": 1024, "isMeasured": true, "isCached": false, "waitsFor": "statistics" },
            { "path": "fc2", "kind": "linear", "shape": [4, 16], "steps": [ "quantize { bits: 4 }" ], "summary": "quantize 4", "isOpen": false, "bytesBefore": 256, "bytesAfter": null, "seconds": 0.5, "memoryBytes": 1024, "isMeasured": true, "isCached": true, "waitsFor": null } ],
          "phases": [ { "name": "solve", "units": 2, "cached": 1, "seconds": 0.5, "memoryBytes": 1024 } ],
          "totals": { "layers": 2, "cachedLayers": 1, "bytesBefore": 848, "bytesAfter": 400, "seconds": 0.5, "memoryBytes": 1024, "modelBytes": 848 } } ] }
        """;

    private const string Evaluation = """
        { "schema": 1, "recipes": [ { "recipe": "tiny", "artifact": "models/tiny", "metric": "perplexity", "original": 6, "compressed": 6.6, "regression": 0.1, "maxRegression": 0.05, "passed": false } ] }
        """;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_plan_is_a_table_of_layers_and_what_is_to_do()
    {
        string project = Project("PlanModels", "PipelineDslPlanFile", Plan);

        Cli.Succeed("plan", project).Lines.ShouldBe(
        [
            "tiny: Demo.Mlp on cpu",
            "layer  shape   steps       before  after    time  cached",
            "fc1    16 × 8  quantize 4   512 B   96 B  0.50 s  no (statistics)",
            "fc2    4 × 16  quantize 4   256 B      ?       –  yes",
            "  2 layers, 1 in the cache; all tensors 848 B → 400 B",
            "  solve: 1 of 2 cached, 0.50 s to go",
            "  about 0.50 s in all, with 1.00 KB of memory beside the model's 848 B",
            "  lock file: differs",
            "    fc1: quantize.bits 4, not 8",
        ]);
        Cli.Succeed("plan", project, "--json").Json.GetProperty("recipes")[0].GetProperty("recipe").GetString().ShouldBe("tiny");
        Cli.Succeed("plan", project, "--brief").Lines[1].ShouldStartWith("  2 layers");
    }

    [Fact]
    public void A_measurement_beyond_its_limit_is_told_and_is_an_error()
    {
        string project = Project("EvaluateModels", "PipelineDslEvaluationFile", Evaluation, """<Error Code="PDSL3008" File="tiny.recipe.yaml" Text="too much is lost" />""");

        var result = Cli.Run("eval", project);
        result.ExitCode.ShouldBe(ExitCodes.Diagnosed);
        result.Errors.ShouldContain("error PDSL3008");
        result.Lines[1].ShouldBe("tiny    perplexity    6.0000      6.6000  +10.0%     5%  no");
    }

    [Fact]
    public void Recipes_that_measure_nothing_are_told_how_to()
    {
        string project = Project("EvaluateModels", "PipelineDslEvaluationFile", """{ "schema": 1, "recipes": [] }""");

        Cli.Fail("PDSL2006", "eval", project).ShouldContain("add a line such as 'evaluate:");
        Cli.Fail("PDSL2006", "eval", project, "--json");
    }

    [Fact]
    public void Every_target_framework_has_its_answer()
    {
        folder.Write("answer.json", Evaluation.Replace("\"passed\": false", "\"passed\": true"));
        string project = folder.Write("App.proj", """
            <Project>
              <Target Name="Restore" />
              <Target Name="EvaluateModels">
                <Copy SourceFiles="answer.json" DestinationFiles="$([System.IO.Path]::ChangeExtension('$(PipelineDslEvaluationFile)', 'net8.0.json'))" />
                <Copy SourceFiles="answer.json" DestinationFiles="$([System.IO.Path]::ChangeExtension('$(PipelineDslEvaluationFile)', 'net10.0-windows.json'))" />
              </Target>
            </Project>
            """);

        string[] lines = Cli.Succeed("eval", project).Lines;
        (lines[0], lines[3]).ShouldBe(("net10.0-windows", "net8.0"));
        lines[5].ShouldBe("tiny    perplexity    6.0000      6.6000  +10.0%     5%  yes");
        var recipes = Cli.Succeed("eval", project, "--json").Json.GetProperty("recipes");
        recipes.EnumerateArray().Select(recipe => $"{recipe.GetProperty("framework").GetString()} {recipe.GetProperty("recipe").GetString()}").ShouldBe(["net10.0-windows tiny", "net8.0 tiny"]);
    }

    [Fact]
    public void A_project_without_recipes_is_told_how_to_begin() =>
        Cli.Fail("PDSL2006", "plan", folder.Write("App.proj", """<Project><Target Name="Restore" /><Target Name="PlanModels" /></Project>""")).ShouldContain("pipeline init");

    private string Project(string target, string property, string answer, string more = "")
    {
        folder.Write("answer.json", answer);
        return folder.Write("App.proj", $"""
            <Project>
              <Target Name="Restore" />
              <Target Name="{target}">
                <Message Importance="high" Text="tiny: planning" />
                <Copy SourceFiles="answer.json" DestinationFiles="$({property})" />
                {more}
              </Target>
            </Project>
            """);
    }
}
