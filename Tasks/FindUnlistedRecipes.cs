using System.Text.RegularExpressions;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

namespace PipelineDsl.Tasks;

/// <summary>Warns of files that hold a recipe and are none to the build, because of their name or their place.</summary>
[MSBuildMultiThreadableTask]
public sealed class FindUnlistedRecipes : Task
{
    private static readonly string[] Extensions = [".recipe.yaml", ".recipe.yml"];

    /// <summary>What every recipe has at the start of a line, beside its name.</summary>
    private static readonly Regex Body = new("^(steps|extends):", RegexOptions.Multiline | RegexOptions.CultureInvariant);

    private static readonly Regex Head = new(@"^recipe:[ \t]*(?<name>[a-zA-Z0-9_-]*)", RegexOptions.Multiline | RegexOptions.CultureInvariant);

    /// <summary>The YAML files of the project that are no recipes to the build.</summary>
    public ITaskItem[] Files { get; set; } = [];

    /// <summary>Whether the build takes every file that has the name of a recipe: one that is not taken was then left out on purpose.</summary>
    public bool TakesEveryName { get; set; }

    /// <inheritdoc/>
    public override bool Execute()
    {
        foreach (ITaskItem file in Files.Where(file => !TakesEveryName || !IsRecipeName(file.ItemSpec)))
        {
            string path = file.GetMetadata("FullPath");
            string text = File.ReadAllText(path);
            if (Head.Match(text) is { Success: true } head && Body.IsMatch(text))
            {
                int line = text.Substring(0, head.Index).Count(character => character == '\n') + 1;
                Log.LogWarning(null, Codes.UnlistedRecipe, null, path, line, 1, line, 1, "{0}", Message(Path.GetFileName(path), head.Groups["name"].Value));
            }
        }

        return true;
    }

    private static bool IsRecipeName(string file) => Extensions.Any(extension => file.EndsWith(extension, StringComparison.OrdinalIgnoreCase));

    private static string Message(string file, string recipe)
    {
        string name = (recipe.Length > 0 ? recipe : Path.GetFileNameWithoutExtension(file)) + Extensions[0];
        string rename = IsRecipeName(file) ? "" : $"name it '{name}', ";
        return $"'{file}' holds a recipe and the build makes nothing of it; {rename}list it as PipelineRecipe, or take it out of the items None";
    }
}
