using System.Text.Json;
using System.Text.Json.Nodes;
using PipelineDsl.Cli.Projects;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Cli.Commands;

/// <summary>A command that asks the pipelines of a project something; they answer in a file.</summary>
/// <typeparam name="TSettings">Its settings.</typeparam>
/// <param name="terminal">Where it writes.</param>
internal abstract class ResultCommand<TSettings>(Terminal terminal) : BuildingCommand<TSettings>(terminal)
    where TSettings : ProjectSettings
{
    private const string NoRecipe = $"the project has no recipe; write a first one with '{CommandLine.Name} init'";

    private readonly string file = Path.Combine(Path.GetTempPath(), $"pipeline-{Guid.NewGuid():N}.json");

    /// <summary>The target that asks.</summary>
    protected abstract string Verb { get; }

    /// <summary>The property that says where the answer goes.</summary>
    protected abstract string FileProperty { get; }

    /// <summary>What is missing, and what to do, where no recipe has an answer.</summary>
    protected virtual string NoAnswer => NoRecipe;

    /// <inheritdoc/>
    protected sealed override bool IsQuiet => true;

    /// <inheritdoc/>
    protected sealed override IEnumerable<string> ArgumentsFor(TSettings settings) => [.. settings.BuildArguments, $"-target:{Verb}", $"-p:{FileProperty}={file}"];

    /// <inheritdoc/>
    protected sealed override void Tell(string project, TSettings settings, BuildResult result, TimeSpan elapsed)
    {
        var answers = Answers();
        try
        {
            if (answers.Count == 0)
            {
                if (result.Succeeded)
                {
                    throw new PipelineException(DiagnosticIds.CommandNotPossible, NoRecipe, project);
                }

                return;
            }

            bool hasAnswers = answers.Exists(answer => Recipes(answer).Count > 0);
            if (!hasAnswers && result.Succeeded)
            {
                throw new PipelineException(DiagnosticIds.CommandNotPossible, NoAnswer, project);
            }

            if (settings.Json)
            {
                Terminal.Json(Together(answers));
            }
            else if (hasAnswers)
            {
                Show(answers, settings);
            }
        }
        finally
        {
            answers.ForEach(answer => File.Delete(answer.File));
        }
    }

    /// <summary>What was answered: once, or for each of several target frameworks, whose name then stands in the file's.</summary>
    private List<Answer> Answers()
    {
        string stem = Path.ChangeExtension(file, null) + ".";
        string[] files = File.Exists(file) ? [file] : [.. Directory.GetFiles(Path.GetDirectoryName(file)!, Path.GetFileName(stem) + "*.json").Order(StringComparer.Ordinal)];
        return [.. files.Select(path => new Answer(path, path == file ? null : path[stem.Length..^".json".Length], JsonNode.Parse(File.ReadAllText(path))!.AsObject()))];
    }

    private static JsonArray Recipes(Answer answer) => answer.Document["recipes"]!.AsArray();

    /// <summary>The answers as one; recipes then say which framework they are built for.</summary>
    private static JsonObject Together(List<Answer> answers)
    {
        var whole = answers[0].Document.DeepClone().AsObject();
        if (answers[0].Framework is not null)
        {
            whole["recipes"] = new JsonArray([.. answers.SelectMany(answer => Recipes(answer).Select(recipe => new JsonObject([new("framework", answer.Framework), .. recipe!.AsObject().Select(member => KeyValuePair.Create(member.Key, member.Value?.DeepClone()))])))]);
        }

        return whole;
    }

    private void Show(List<Answer> answers, TSettings settings)
    {
        foreach (var answer in answers)
        {
            if (answer.Framework is { } framework)
            {
                Terminal.Line(framework, "bold");
            }

            Show(answer.Document.Deserialize<JsonElement>(), settings);
        }
    }

    /// <summary>Tells people what was answered.</summary>
    protected abstract void Show(JsonElement result, TSettings settings);

    /// <summary>A property that is a string.</summary>
    protected static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;

    /// <summary>A property that is a whole number.</summary>
    protected static long Number(JsonElement element, string name) => element.GetProperty(name).GetInt64();

    /// <summary>A property that may be absent or null.</summary>
    protected static JsonElement? Find(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private sealed record Answer(string File, string? Framework, JsonObject Document);
}
