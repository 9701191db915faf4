using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Recipes.Parsing;

namespace PipelineDsl.Recipes.Schema;

/// <summary>Writes the JSON schema (draft 2020-12) of <c>*.recipe.yaml</c>, so that editors complete and check what they know nothing about.</summary>
/// <remarks>
/// It is read off the classes that the parser reads, and refuses nothing that builds but two spellings: a percentage with an exponent, and integers as JSON cannot tell them from floats.
/// What only the whole project shows (layers, ranks, files, other recipes) is left to the compiler.
/// </remarks>
public sealed class RecipeSchema
{
    private readonly Func<string, string> summary;

    private RecipeSchema(Func<string, string> summary) => this.summary = summary;

    /// <summary>Writes the schema.</summary>
    /// <param name="summary">The summary of a member, by the id that the compiler's XML documentation gives it.</param>
    public static string Write(Func<string, string> summary) => new RecipeSchema(summary).Root().ToString();

    /// <summary>Writes the part of the schema that words of the language have in it.</summary>
    /// <param name="words">The words.</param>
    /// <param name="summary">As for the whole.</param>
    internal static string Write(IReadOnlyList<WordDescriptor> words, Func<string, string> summary) => new RecipeSchema(summary).Words(words).ToString();

    private SchemaObject Root()
    {
        var properties = new SchemaObject();
        foreach (string key in RecipeParser.Keys)
        {
            properties.Add(key, Key(key));
        }

        return new()
        {
            { "$schema", "https://json-schema.org/draft/2020-12/schema" },
            { "title", "PipelineDsl recipe" },
            { "type", "object" },
            { "required", List("recipe") },
            { "additionalProperties", false },
            { "if", new SchemaObject { { "required", List("extends") } } },
            {
                "else", new SchemaObject
                {
                    { "required", List("model", "weights", "steps") },
                    { "properties", new SchemaObject { { "steps", new SchemaObject { { "minItems", 1 } } } } },
                }
            },
            { "properties", properties },
        };
    }

    private SchemaObject Key(string key) => key switch
    {
        "recipe" => new() { { "description", Summary(typeof(RecipeAttribute), nameof(RecipeAttribute.Name)) }, { "type", List("string", "integer", "boolean") }, { "pattern", RecipeCatalog.NamePattern } },
        "version" => new() { { "description", "The version of the language." }, { "enum", List(1, "1") } },
        "model" => Text(Summary(typeof(Recipe), nameof(Recipe.Model))),
        "extends" => Text(Summary(typeof(RecipeDraft), nameof(RecipeDraft.Extends))),
        "budget" => new() { { "description", Summary(typeof(RecipeAttribute), nameof(RecipeAttribute.Budget)) }, { "type", "string" }, { "pattern", BudgetPattern() } },
        "calibrate" => Data(typeof(CalibrateAttribute), RecipeCatalog.Calibrate),
        "train" => Data(typeof(TrainAttribute), RecipeCatalog.Train),
        "evaluate" => Data(typeof(EvaluateAttribute), RecipeCatalog.Evaluate),
        "analyze" => new() { { "description", Summary(typeof(Recipe), nameof(Recipe.Analyze)) }, { "type", "object" }, { "additionalProperties", false }, { "properties", Words(AnalysisCatalog.Analyses) } },
        "export" => Export(RecipeCatalog.Recipe.First(setting => setting.Name == key)),
        "steps" => new() { { "description", Summary(typeof(Recipe), nameof(Recipe.Rules)) }, { "type", "array" }, { "items", Entry() } },
        _ => Setting(RecipeCatalog.Recipe.First(setting => setting.Name == key), typeof(RecipeAttribute)),
    };

    private SchemaObject Data(Type owner, IReadOnlyList<SettingDescriptor> settings)
    {
        var properties = new SchemaObject { { "data", Text(Summary(owner, "Data")) } };
        properties.Add(Settings(settings, owner));
        return new() { { "description", Summary(owner) }, { "type", "object" }, { "required", List("data") }, { "additionalProperties", false }, { "properties", properties } };
    }

    private SchemaObject Export(SettingDescriptor setting)
    {
        string description = Described(setting, typeof(RecipeAttribute));
        string none = SettingDescriptor.Format(ExportFormats.None);
        var items = new SchemaObject { { "enum", setting.Choices.Where(choice => choice != none).ToArray() } };
        return new()
        {
            { "description", description },
            {
                "anyOf", List(
                    new SchemaObject { { "enum", setting.Choices } },
                    new SchemaObject { { "type", "array" }, { "minItems", 1 }, { "uniqueItems", true }, { "items", items } })
            },
        };
    }

    private SchemaObject Entry()
    {
        var match = Text(Summary(typeof(LayerPattern)));
        match.Add("pattern", LayerPattern.SegmentsPattern);
        var properties = new SchemaObject { { StepsReader.Match, match } };
        properties.Add(Words(StepCatalog.Steps));
        return new()
        {
            { "type", "object" },
            { "required", List(StepsReader.Match) },
            { "minProperties", 2 },
            { "additionalProperties", false },
            { "properties", properties },
            { "allOf", Exclusions().ToArray<object>() },
        };
    }

    /// <summary>Steps of one stage for the same kinds of layers exclude each other, and <c>keep</c> excludes all others.</summary>
    private static IEnumerable<SchemaObject> Exclusions()
    {
        var steps = StepCatalog.Steps.Select(step => (step.Name, Step: step.Create())).ToList();
        foreach (var (name, _) in steps.Where(item => item.Step.Stage == Stage.Keep))
        {
            yield return new() { { "if", Has(name) }, { "then", new SchemaObject { { "maxProperties", 2 } } } };
        }

        foreach (var group in steps.Where(item => item.Step.Stage != Stage.Keep).GroupBy(item => (item.Step.Stage, item.Step.AppliesTo)).Where(group => group.Count() > 1))
        {
            object[] each = [.. group.Select(item => Has(item.Name))];
            yield return new() { { "oneOf", (object[])[new SchemaObject { { "not", new SchemaObject { { "anyOf", each } } } }, .. each] } };
        }
    }

    private static object[] List(params object[] items) => items;

    private static SchemaObject Has(string key) => new() { { "required", List(key) } };

    private SchemaObject Words(IReadOnlyList<WordDescriptor> words)
    {
        var properties = new SchemaObject();
        foreach (var word in words)
        {
            var key = Described(Summary(word.Type), word.Deprecation);
            key.Add(new()
            {
                { "type", List("object", "null") },
                { "additionalProperties", false },
                { "properties", Settings(word.Settings, word.Type) },
            });
            properties.Add(word.Name, key);
        }

        return properties;
    }

    private SchemaObject Settings(IReadOnlyList<SettingDescriptor> settings, Type owner)
    {
        var properties = new SchemaObject();
        foreach (var setting in settings)
        {
            properties.Add(setting.Name, Setting(setting, owner));
        }

        return properties;
    }

    private SchemaObject Setting(SettingDescriptor setting, Type owner)
    {
        string description = Described(setting, owner);
        if (setting.Type == typeof(string))
        {
            return Text(description, setting.Deprecation);
        }

        var value = Described(description, setting.Deprecation);
        if (setting.CheckRange(setting.Default) is null)
        {
            value.Add("default", setting.Type.IsEnum ? SettingDescriptor.Format(setting.Default) : setting.Default);
        }

        value.Add(setting.Type == typeof(bool) ? new() { { "type", "boolean" } }
            : setting.Type.IsEnum ? new() { { "enum", setting.Choices } }
            : setting.Type == typeof(double) ? Number(setting.Range)
            : Integer(setting));
        return value;
    }

    /// <summary>What a text may be: any scalar, for YAML makes numbers of names such as <c>0</c>.</summary>
    private static SchemaObject Text(string description, string? deprecation = null)
    {
        var text = Described(description, deprecation);
        text.Add(new() { { "type", List("string", "number", "boolean") }, { "minLength", 1 } });
        return text;
    }

    private static SchemaObject Described(string description, string? deprecation)
    {
        var schema = new SchemaObject { { "description", deprecation is null ? description : $"{description} Deprecated: {deprecation}." } };
        if (deprecation is not null)
        {
            schema.Add("deprecated", true);
        }

        return schema;
    }

    private static SchemaObject Integer(SettingDescriptor setting)
    {
        var (smallest, largest) = setting.Type == typeof(int) ? (int.MinValue, int.MaxValue) : (long.MinValue, long.MaxValue);
        return new()
        {
            { "type", "integer" },
            { "minimum", setting.Range is { } low ? (long)Math.Max(smallest, low.Minimum) : smallest },
            { "maximum", setting.Range is { Maximum: < int.MaxValue } high ? (long)high.Maximum : largest },
        };
    }

    /// <summary>A number, or a percentage, which is a text to JSON.</summary>
    private static SchemaObject Number(WithinAttribute? range)
    {
        var number = new SchemaObject { { "type", List("number", "string") } };
        if (range is not null)
        {
            number.Add(range.ExclusiveMinimum ? "exclusiveMinimum" : "minimum", range.Minimum);
        }

        if (range is { Maximum: < double.MaxValue })
        {
            number.Add("maximum", range.Maximum);
        }

        string sign = range is { Minimum: >= 0 } ? @"\+?" : "[+-]?";
        string zero = range is { Minimum: 0, ExclusiveMinimum: true } ? NumberPattern.NotZero : "";
        double limit = (range?.Maximum ?? double.MaxValue) * 100;
        string digits = limit < int.MaxValue && limit == Math.Floor(limit) ? NumberPattern.AtMost((int)limit) : NumberPattern.Any;
        number.Add("pattern", $@"^{sign}{zero}{digits}\s*%$");
        return number;
    }

    private static string BudgetPattern()
    {
        string sizes = $@"{NumberPattern.Any}\s*(?:{string.Join("|", Budget.Suffixes(BudgetUnit.Bytes))})";
        string shares = $@"{NumberPattern.AtMost(100)}\s*{Budget.Suffixes(BudgetUnit.Share).Single()}";
        string widths = $@"{NumberPattern.AtMost(Budget.MaxBitsPerWeight)}\s*{Budget.Suffixes(BudgetUnit.BitsPerWeight).Single()}";
        return $@"^\s*{NumberPattern.NotZero}(?:{sizes}|{shares}|{widths})\s*$";
    }

    private string Described(SettingDescriptor setting, Type owner)
    {
        string meaning = Summary(owner, setting.PropertyName);
        return setting.Type.IsEnum
            ? $"{meaning} {string.Join(" ", Enum.GetNames(setting.Type).Select(name => $"`{SettingDescriptor.CamelCase(name)}`: {summary($"F:{setting.Type.FullName}.{name}")}"))}"
            : meaning;
    }

    private string Summary(Type type) => summary("T:" + type.FullName);

    private string Summary(Type owner, string property) => summary($"P:{owner.GetProperty(property)!.DeclaringType!.FullName}.{property}");
}
