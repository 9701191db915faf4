using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Dsl.Tests;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

public sealed class SarifLogTests
{
    /// <summary>What SARIF 2.1.0 requires of the objects that the log holds, with the words it knows for a level.</summary>
    private const string Structure = """
        {
          "type": "object", "required": ["version", "runs"],
          "properties": {
            "version": { "enum": ["2.1.0"] },
            "runs": { "type": "array", "minItems": 1, "items": {
              "type": "object", "required": ["tool", "results"],
              "properties": {
                "tool": { "type": "object", "required": ["driver"], "properties": { "driver": {
                  "type": "object", "required": ["name", "version", "informationUri", "rules"],
                  "properties": {
                    "name": { "type": "string", "minLength": 1 },
                    "rules": { "type": "array", "uniqueItems": true, "items": {
                      "type": "object", "required": ["id", "helpUri", "shortDescription", "fullDescription", "help"], "properties": { "help": { "type": "object", "required": ["text", "markdown"] }, "id": { "type": "string", "pattern": "^PDSL[0-9]{4}$" }, "helpUri": { "type": "string", "pattern": "^https://" } }
                    } }
                  }
                } } },
                "columnKind": { "enum": ["utf16CodeUnits", "unicodeCodePoints"] },
                "originalUriBaseIds": { "type": "object", "additionalProperties": { "type": "object", "required": ["uri"], "properties": { "uri": { "type": "string", "pattern": "^file:///.*/$" } } } },
                "invocations": { "type": "array", "items": { "type": "object", "required": ["executionSuccessful"], "properties": { "executionSuccessful": { "type": "boolean" } } } },
                "results": { "type": "array", "items": {
                  "type": "object", "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
                  "properties": {
                    "level": { "enum": ["none", "note", "warning", "error"] },
                    "message": { "type": "object", "required": ["text"], "properties": { "text": { "type": "string", "minLength": 1 } } },
                    "locations": { "type": "array", "minItems": 1, "items": {
                      "type": "object", "required": ["physicalLocation"], "properties": { "physicalLocation": {
                        "type": "object", "required": ["artifactLocation", "region"],
                        "properties": {
                          "artifactLocation": { "type": "object", "required": ["uri"], "properties": { "uri": { "type": "string", "minLength": 1 } } },
                          "region": {
                            "type": "object", "required": ["startLine", "startColumn", "endLine", "endColumn"],
                            "additionalProperties": { "type": "integer", "minimum": 1 }
                          }
                        }
                      } }
                    } }
                  }
                } }
              }
            } }
          }
        }
        """;

    private static readonly string Project = Path.Combine(Path.GetTempPath(), "My model @ 模型");

    private static readonly RecipeDiagnostic[] Said =
    [
        new(DiagnosticIds.SolverAdjusted, Severity.Warning, "rank 80 exceeds the \"numerical\" rank 48", new(Path.Combine("recipes", "tiny.recipe.yaml"), 8, 23, 8, 26)),
        new(DiagnosticIds.GateFailed, Severity.Error, "perplexity rose by 30 %", new(Path.Combine(Project, "recipes", "tiny.recipe.yaml"), 12, 1, 14, 3)),
        new(DiagnosticIds.SolverAdjusted, Severity.Info, "again", SourceSpan.StartOf("weights/a b#1.safetensors")),
        new(DiagnosticIds.FileFailed, Severity.Error, "the disk is full", SourceSpan.StartOf(Path.Combine(Path.GetTempPath(), "elsewhere", "cache"))),
    ];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_log_has_what_the_format_requires(bool succeeded)
    {
        foreach (var said in new[] { Said, [] })
        {
            var log = Log(said, succeeded);
            JsonSchemaValidator.Check(JsonNode.Parse(Structure)!, log).ShouldBeEmpty();
            log["runs"]![0]!["invocations"]![0]!["executionSuccessful"]!.GetValue<bool>().ShouldBe(succeeded);
            log["runs"]![0]!["results"]!.AsArray().Count.ShouldBe(said.Length);
        }
    }

    [Fact]
    public void A_log_that_lacks_a_message_or_has_another_level_breaks_the_format()
    {
        var log = Log(Said, true);
        var result = log["runs"]![0]!["results"]![0]!.AsObject();
        result["level"] = "info";
        result.Remove("message");
        JsonSchemaValidator.Check(JsonNode.Parse(Structure)!, log).Count.ShouldBe(2);
    }

    [Fact]
    public void Every_result_tells_its_rule_level_words_and_place()
    {
        var results = Log(Said, false)["runs"]![0]!["results"]!.AsArray();
        results.Select(result => result!["ruleId"]!.GetValue<string>()).ShouldBe(["PDSL3014", "PDSL3008", "PDSL3014", "PDSL3012"]);
        results.Select(result => result!["level"]!.GetValue<string>()).ShouldBe(["warning", "error", "note", "error"]);
        results.Select(result => result!["message"]!["text"]!.GetValue<string>()).ShouldBe(Said.Select(item => item.Message));
        results.Select(Place).ShouldBe(["recipes/tiny.recipe.yaml", "recipes/tiny.recipe.yaml", "weights/a%20b%231.safetensors", new Uri(Said[3].Span.Path).AbsoluteUri]);
        results.Select(result => (string?)result!["locations"]![0]!["physicalLocation"]!["artifactLocation"]!["uriBaseId"]).ShouldBe(["%SRCROOT%", "%SRCROOT%", "%SRCROOT%", null]);
        var region = results[1]!["locations"]![0]!["physicalLocation"]!["region"]!;
        new[] { "startLine", "startColumn", "endLine", "endColumn" }.Select(member => region[member]!.GetValue<int>()).ShouldBe([12, 1, 14, 3]);
    }

    [Fact]
    public void A_place_in_the_project_is_found_from_its_folder()
    {
        var log = Log(Said, false);
        var folder = new Uri(log["runs"]![0]!["originalUriBaseIds"]!["%SRCROOT%"]!["uri"]!.GetValue<string>());
        new Uri(folder, Place(log["runs"]![0]!["results"]![1])).LocalPath.ShouldBe(Said[1].Span.Path);
        new Uri(folder, Place(log["runs"]![0]!["results"]![2])).LocalPath.ShouldBe(Path.Combine(Project, "weights", "a b#1.safetensors"));
    }

    /// <summary>What every page has is what a rule tells.</summary>
    [Fact]
    public void A_rule_tells_what_its_page_says_with_links_that_lead_there_from_a_service()
    {
        RecipeDiagnostic[] all = [.. Documentation.Ids.Select(item => new RecipeDiagnostic(item.Id, Severity.Error, "said", SourceSpan.StartOf("a")))];
        var rules = Log(all, false)["runs"]![0]!["tool"]!["driver"]!["rules"]!.AsArray();
        rules.Count.ShouldBe(all.Length);
        foreach (var rule in rules)
        {
            string id = rule!["id"]!.GetValue<string>();
            string page = File.ReadAllText(Documentation.File("docs", id + ".md")).ReplaceLineEndings("\n");
            page.ShouldStartWith($"# {id}: {rule["shortDescription"]!["text"]}\n\n{rule["fullDescription"]!["text"]!.GetValue<string>().Replace(DiagnosticPages.Folder, "")}\n\n");
            string help = rule["help"]!["markdown"]!.GetValue<string>();
            help.ShouldContain("**What to do.**");
            help.ShouldNotContain("](PDSL");
        }
    }

    /// <summary>Services know files by their place in the repository, of which a project may be a part.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void In_a_repository_places_are_told_from_its_folder(bool isWorkTree)
    {
        string repository = Directory.CreateTempSubdirectory("pdsl-sarif-").FullName;
        try
        {
            string project = Path.Combine(repository, "src", "App");
            Directory.CreateDirectory(project);
            SarifLog.RootOf(project).ShouldBe(project);
            string mark = Path.Combine(repository, ".git");
            if (isWorkTree)
            {
                File.WriteAllText(mark, "gitdir: elsewhere");
            }
            else
            {
                Directory.CreateDirectory(mark);
            }

            SarifLog.RootOf(project).ShouldBe(repository);
            var run = JsonNode.Parse(SarifLog.Write(project, SarifLog.RootOf(project), "0.1.0", Said, true))!["runs"]![0]!;
            Place(run["results"]![0]).ShouldBe("src/App/recipes/tiny.recipe.yaml");
            Place(run["results"]![2]).ShouldBe("src/App/weights/a%20b%231.safetensors");
            new Uri(run["originalUriBaseIds"]!["%SRCROOT%"]!["uri"]!.GetValue<string>()).LocalPath.ShouldBe(repository + Path.DirectorySeparatorChar);
        }
        finally
        {
            Directory.Delete(repository, recursive: true);
        }
    }

    [Fact]
    public void Every_rule_stands_once_with_its_page_and_results_point_at_it()
    {
        var run = Log(Said, false)["runs"]![0]!;
        var rules = run["tool"]!["driver"]!["rules"]!.AsArray();
        rules.Select(rule => rule!["id"]!.GetValue<string>()).ShouldBe(["PDSL3008", "PDSL3012", "PDSL3014"]);
        rules.Select(rule => rule!["name"]!.GetValue<string>()).ShouldBe(["GateFailed", "FileFailed", "SolverAdjusted"]);
        rules.ShouldAllBe(rule => File.Exists(Documentation.File("docs", Path.GetFileName(new Uri(rule!["helpUri"]!.GetValue<string>()).LocalPath))));
        run["results"]!.AsArray().ShouldAllBe(result => rules[result!["ruleIndex"]!.GetValue<int>()]!["id"]!.GetValue<string>() == result["ruleId"]!.GetValue<string>());
    }

    [Fact]
    public void Same_input_gives_the_same_text() => SarifLog.Write(Project, Project, "1.0", Said, true).ShouldBe(SarifLog.Write(Project, Project, "1.0", Said, true));

    private static string Place(JsonNode? result) => result!["locations"]![0]!["physicalLocation"]!["artifactLocation"]!["uri"]!.GetValue<string>();

    private static JsonNode Log(IReadOnlyList<RecipeDiagnostic> said, bool succeeded) => JsonNode.Parse(SarifLog.Write(Project, Project, "0.1.0", said, succeeded))!;
}
