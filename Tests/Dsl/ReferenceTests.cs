using System.Globalization;
using System.Text;
using System.Xml.Linq;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Schema;

namespace PipelineDsl.Dsl.Tests;

/// <summary>Keeps <c>docs/reference.md</c> and <c>docs/recipe.schema.json</c> true.</summary>
public sealed class ReferenceTests
{
    [Fact]
    public void Steps_are_described_as_they_are()
    {
        var text = new StringBuilder();
        foreach (var step in StepCatalog.Steps)
        {
            var kinds = step.Create().AppliesTo;
            text.Append(CultureInfo.InvariantCulture, $"### {step.Name}\n\n{Documentation.Summary("T:" + step.Type.FullName)}\n\nAttribute `{step.Type.Name}`; for {(kinds == LayerKinds.All ? "Linear, Embedding and Conv2d" : kinds)} layers.\n\n");
            text.Append(step.Settings.Count == 0 ? "It has no settings.\n\n" : Table(step.Settings, step.Type) + "\n");
        }

        Documentation.CheckSection("reference.md", "steps", text.ToString());
    }

    [Fact]
    public void Settings_of_calibrate_are_described_as_they_are() =>
        Documentation.CheckSection("reference.md", "calibrate", Table(RecipeCatalog.Calibrate, typeof(CalibrateAttribute)));

    [Fact]
    public void Settings_of_train_are_described_as_they_are() =>
        Documentation.CheckSection("reference.md", "train", Table(RecipeCatalog.Train, typeof(TrainAttribute)));

    [Fact]
    public void Analyses_are_described_as_they_are() =>
        Documentation.CheckSection("reference.md", "analyze", string.Concat(AnalysisCatalog.Analyses.Select(analysis =>
            $"#### {analysis.Name}\n\n{Documentation.Summary("T:" + analysis.Type.FullName)}\n\nAttribute `{analysis.Type.Name}` on the model's class.\n\n{Table(analysis.Settings, analysis.Type)}\n")));

    [Fact]
    public void Settings_of_evaluate_are_described_as_they_are() =>
        Documentation.CheckSection("reference.md", "evaluate", Table(RecipeCatalog.Evaluate, typeof(EvaluateAttribute)));

    [Fact]
    public void Formats_of_export_are_described_as_they_are() =>
        Documentation.CheckSection("reference.md", "export", "| format | C# | meaning |\n|---|---|---|\n" + string.Concat(Enum.GetNames<ExportFormats>().Select(name =>
            $"| `{SettingDescriptor.Format(Enum.Parse<ExportFormats>(name))}` | `{nameof(ExportFormats)}.{name}` | {Documentation.Summary($"F:{typeof(ExportFormats).FullName}.{name}")} |\n")));

    [Fact]
    public void The_schema_for_editors_is_the_language_as_it_is() => Documentation.CheckFile("recipe.schema.json", RecipeSchema.Write(Documentation.Summary));

    [Fact]
    public void Sample_recipes_name_the_schema_that_editors_check_them_with()
    {
        string[] recipes = Directory.GetFiles(Documentation.File("Samples"), "*.recipe.yaml", SearchOption.AllDirectories);
        recipes.ShouldNotBeEmpty();
        foreach (string recipe in recipes.Where(file => !file.Contains($"{Path.DirectorySeparatorChar}bin{Path.DirectorySeparatorChar}", StringComparison.Ordinal)))
        {
            const string modeline = "# yaml-language-server: $schema=";
            string first = File.ReadLines(recipe).First();
            first.ShouldStartWith(modeline, customMessage: recipe);
            Path.GetFullPath(Path.Combine(Path.GetDirectoryName(recipe)!, first[modeline.Length..])).ShouldBe(Documentation.File("docs", "recipe.schema.json"));
        }
    }

    [Fact]
    public void Settings_of_a_recipe_have_a_row() =>
        RecipeCatalog.Recipe.Select(setting => $"| `{setting.Name}` | `[Recipe({setting.PropertyName} = ").ShouldAllBe(row => Reference().Contains(row));

    [Fact]
    public void Every_property_of_the_package_has_a_row()
    {
        string[] files = ["PipelineDsl.props", "PipelineDsl.targets", "PipelineDsl.Natives.targets"];
        var properties = files.SelectMany(file => XDocument.Load(Documentation.File("build", file)).Descendants())
            .Where(element => element.Attribute("Condition")?.Value == $"'$({element.Name.LocalName})' == ''" || element.Name == "CompilerVisibleProperty")
            .Select(element => element.Attribute("Include")?.Value ?? element.Name.LocalName)
            .Where(name => !name.StartsWith('_'))
            .Distinct().ToList();
        properties.Count.ShouldBeGreaterThan(10);
        string reference = Reference();
        properties.Where(name => !reference.Contains($"| `{name}` |", StringComparison.Ordinal)).ShouldBeEmpty();
    }

    private static string Reference() => File.ReadAllText(Documentation.File("docs", "reference.md"));

    private static string Table(IEnumerable<SettingDescriptor> settings, Type owner) => "| setting | C# | type | default | range | meaning |\n|---|---|---|---|---|---|\n"
        + string.Concat(settings.Select(setting => $"| `{setting.Name}` | `{setting.PropertyName}` | {TypeName(setting.Type)} | {Default(setting)} | {setting.RangeText} | {Meaning(setting, owner)} |\n"));

    private static string TypeName(Type type) => type.IsEnum ? $"`{type.Name}`" : type == typeof(int) ? "int" : type == typeof(long) ? "long" : type == typeof(double) ? "double" : type == typeof(bool) ? "bool" : "text";

    /// <summary>A default outside the range says that the setting is not set.</summary>
    private static string Default(SettingDescriptor setting) => setting.CheckRange(setting.Default) is null ? $"`{SettingDescriptor.Format(setting.Default)}`" : "not set";

    private static string Meaning(SettingDescriptor setting, Type owner)
    {
        string declaring = owner.GetProperty(setting.PropertyName)!.DeclaringType!.FullName!;
        string meaning = Documentation.Summary($"P:{declaring}.{setting.PropertyName}");
        string choices = string.Join(" ", setting.Type.IsEnum ? Enum.GetNames(setting.Type).Select(name => $"`{char.ToLowerInvariant(name[0])}{name[1..]}`: {Documentation.Summary($"F:{setting.Type.FullName}.{name}")}") : []);
        string deprecated = setting.Deprecation is { } cure ? $" Deprecated: {cure}." : "";
        return ((choices.Length > 0 ? $"{meaning} {choices}" : meaning) + deprecated).Replace("|", "\\|", StringComparison.Ordinal);
    }
}
