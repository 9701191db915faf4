using System.Text.Json;
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
        if (!File.Exists(file))
        {
            if (result.Succeeded)
            {
                throw new PipelineException(DiagnosticIds.CommandNotPossible, NoRecipe, project);
            }

            return;
        }

        try
        {
            string text = File.ReadAllText(file);
            using var document = JsonDocument.Parse(text);
            bool hasAnswers = document.RootElement.GetProperty("recipes").GetArrayLength() > 0;
            if (!hasAnswers && result.Succeeded)
            {
                throw new PipelineException(DiagnosticIds.CommandNotPossible, NoAnswer, project);
            }

            if (settings.Json)
            {
                Terminal.Json(text);
            }
            else if (hasAnswers)
            {
                Show(document.RootElement, settings);
            }
        }
        finally
        {
            File.Delete(file);
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
}
