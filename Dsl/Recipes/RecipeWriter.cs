using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;

namespace PipelineDsl.Recipes;

/// <summary>Writes a recipe as YAML; what <see cref="Parsing.RecipeParser"/> reads of it binds to the same recipe.</summary>
public static class RecipeWriter
{
    /// <summary>The comment by which editors find the schema of a recipe.</summary>
    public const string Modeline = "# yaml-language-server: $schema=";

    /// <summary>Values that need no quotes wherever they stand.</summary>
    private static readonly Regex Plain = new(@"^[A-Za-z_][A-Za-z0-9_./*-]*$", RegexOptions.CultureInvariant);

    /// <summary>Words that are no texts to some readers of YAML.</summary>
    private static readonly HashSet<string> Reserved = new(StringComparer.OrdinalIgnoreCase) { "null", "true", "false", "yes", "no", "on", "off", "y", "n" };

    /// <summary>Writes a recipe.</summary>
    /// <param name="recipe">A recipe that stands alone.</param>
    /// <param name="schema">The path or address of the schema, for editors; null writes none.</param>
    /// <exception cref="ArgumentException">The recipe extends another: its text would not.</exception>
    public static string Write(Recipe recipe, string? schema = null)
    {
        if (recipe.Rules.Any(rule => rule.Level > 0))
        {
            throw new ArgumentException($"'{recipe.Name}' extends another recipe and cannot be written alone.", nameof(recipe));
        }

        var text = new StringBuilder();
        Line(text, schema is null ? null : Modeline + schema);
        Line(text, "version: 1");
        Entry(text, "recipe", Scalar(recipe.Name));
        Entry(text, "model", Scalar(recipe.Model));
        Entry(text, "weights", Scalar(recipe.Weights));
        Entry(text, "tokenizer", recipe.Tokenizer is { } tokenizer ? Scalar(tokenizer) : null);
        Entry(text, "seed", recipe.Seed == 0 ? null : SettingDescriptor.Format(recipe.Seed));
        Entry(text, "budget", recipe.Budget is { } budget ? Scalar(budget.Text) : null);
        Entry(text, "allocate", recipe.Allocate == default ? null : SettingDescriptor.Format(recipe.Allocate));
        Entry(text, "calibrate", recipe.Calibrate is { } calibrate ? Data(calibrate.Data, Unusual(AttributeOf(calibrate), RecipeCatalog.Calibrate)) : null);
        Entry(text, "train", recipe.Train is { } train ? Data(train.Settings.Data, Given(train.Settings, RecipeCatalog.Train, train.Given)) : null);
        Analyses(text, recipe.Analyze);
        Steps(text, recipe.Rules);
        Entry(text, "evaluate", recipe.Evaluate is { } evaluate ? Data(evaluate.Data, Unusual(AttributeOf(evaluate), RecipeCatalog.Evaluate)) : null);
        Entry(text, "export", Export(recipe.Export));
        return text.ToString();
    }

    /// <summary>The attribute that means the same.</summary>
    public static CalibrateAttribute AttributeOf(Calibration data) => new(data.Data) { Samples = data.Samples, SequenceLength = data.SequenceLength };

    /// <summary>The attribute that means the same.</summary>
    public static EvaluateAttribute AttributeOf(Evaluation data) => new(data.Data) { Metric = data.Metric, SequenceLength = data.SequenceLength, MaxRegression = data.MaxRegression ?? -1 };

    /// <summary>The settings of a word that are not its usual ones.</summary>
    public static IEnumerable<(SettingDescriptor Setting, object Value)> Unusual(Attribute owner, IReadOnlyList<SettingDescriptor> known) =>
        known.Select(setting => (setting, setting.Get(owner))).Where(item => !item.Item2.Equals(item.setting.Default));

    /// <summary>The settings of a word that the user wrote, in the order written.</summary>
    public static IEnumerable<(SettingDescriptor Setting, object Value)> Given(Attribute owner, IReadOnlyList<SettingDescriptor> known, EquatableArray<GivenSetting> given) =>
        given.Select(setting => known.First(descriptor => descriptor.PropertyName == setting.Name)).Select(setting => (setting, setting.Get(owner)));

    private static void Analyses(StringBuilder text, EquatableArray<PlacedAnalysis> analyses)
    {
        Line(text, analyses.Count == 0 ? null : "analyze:");
        foreach (var placed in analyses)
        {
            var word = AnalysisCatalog.Of(placed.Analysis);
            Line(text, $"  {word.Name}: {Settings(Given(placed.Analysis, word.Settings, placed.Given))}".TrimEnd());
        }
    }

    private static void Steps(StringBuilder text, EquatableArray<Rule> rules)
    {
        Line(text, "steps:");
        foreach (var rule in rules)
        {
            Line(text, "  - match: " + Scalar(rule.Match));
            foreach (var placed in rule.Steps)
            {
                var word = StepCatalog.Of(placed.Step);
                Line(text, $"    {word.Name}: {Settings(Given(placed.Step, word.Settings, placed.Given))}".TrimEnd());
            }
        }
    }

    private static string? Export(ExportFormats formats)
    {
        string[] names = [.. Enum.GetValues(typeof(ExportFormats)).Cast<ExportFormats>().Where(format => format != ExportFormats.None && formats.HasFlag(format)).Select(format => SettingDescriptor.Format(format))];
        return names.Length switch { 0 => null, 1 => names[0], _ => $"[ {string.Join(", ", names)} ]" };
    }

    private static string Data(string file, IEnumerable<(SettingDescriptor, object)> settings) => $"{{ {string.Join(", ", new[] { "data: " + Scalar(file) }.Concat(settings.Select(Setting)))} }}";

    private static string Settings(IEnumerable<(SettingDescriptor, object)> settings)
    {
        string joined = string.Join(", ", settings.Select(Setting));
        return joined.Length == 0 ? "" : $"{{ {joined} }}";
    }

    private static string Setting((SettingDescriptor Setting, object Value) item) => $"{item.Setting.Name}: {(item.Value is string text ? Scalar(text) : Number(item))}";

    /// <summary>A number; a limit above one in percent, because without a sign it looks like a slip.</summary>
    private static string Number((SettingDescriptor Setting, object Value) item) => item.Setting.PropertyName == nameof(EvaluateAttribute.MaxRegression) && item.Value is double limit and > 1 &&
        SettingDescriptor.Format(limit * 100) + "%" is var percent && item.Setting.TryParse(percent, out object read, out _) && read.Equals(limit) ? percent : SettingDescriptor.Format(item.Value);

    private static void Entry(StringBuilder text, string key, string? value) => Line(text, value is null ? null : $"{key}: {value}");

    private static void Line(StringBuilder text, string? line)
    {
        if (line is not null)
        {
            text.Append(line).Append('\n');
        }
    }

    /// <summary>A text as YAML: in double quotes unless it can be nothing else than a text.</summary>
    private static string Scalar(string text) => Plain.IsMatch(text) && !text.EndsWith("\n", StringComparison.Ordinal) && !Reserved.Contains(text) ? text : "\"" + string.Concat(text.Select(Escaped)) + "\"";

    private static string Escaped(char c) => c switch
    {
        '"' or '\\' => "\\" + c,
        < ' ' or (>= '\u007F' and <= '\u00A0') or '\u2028' or '\u2029' or '\uFEFF' => "\\u" + ((int)c).ToString("X4", CultureInfo.InvariantCulture),
        _ => c.ToString(),
    };
}
