using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Recipes.Parsing;

/// <summary>Reads a YAML recipe; finds every mistake that the file alone shows, and never throws.</summary>
public sealed class RecipeParser
{
    private const string Owner = "the recipe";

    /// <summary>Nobody reads more at once; what goes on is no recipe, or an attack on who reads it.</summary>
    private const int MaxMistakes = 100;

    /// <summary>The keys of a recipe.</summary>
    internal static readonly string[] Keys = ["recipe", "version", "model", "weights", "tokenizer", "seed", "budget", "allocate", "calibrate", "train", "analyze", "evaluate", "export", "extends", "steps"];

    private readonly List<RecipeDiagnostic> diagnostics = [];
    private readonly SourceSpan start;

    /// <summary>What stops the reading of the text also hides what comes after: that is neither missing nor of the wrong shape.</summary>
    private bool whole = true;

    private RecipeParser(string path) => start = SourceSpan.StartOf(path);

    /// <summary>Reads a recipe.</summary>
    /// <param name="text">The file's text.</param>
    /// <param name="path">The file's name, for positions.</param>
    public static ParsedRecipe Parse(string text, string path)
    {
        var parser = new RecipeParser(path);
        RecipeDraft draft;
        try
        {
            draft = parser.Read(text, path);
        }
        catch (TooManyMistakes)
        {
            draft = new() { Span = parser.start };
        }

        return new(draft, new(parser.diagnostics.OrderBy(problem => problem.Span.Line).ThenBy(problem => problem.Span.Column)));
    }

    private RecipeDraft Read(string text, string path)
    {
        var root = YamlReader.Read(text, path, Add);
        whole = diagnostics.Count == 0;
        return root is YamlMapping mapping ? ReadRecipe(new(mapping, Report)) : RefuseRoot(root);
    }

    private void Report(RecipeDiagnostic diagnostic)
    {
        if (whole || diagnostic.Id is not (DiagnosticIds.MissingSetting or DiagnosticIds.BrokenYaml))
        {
            Add(diagnostic);
        }
    }

    private void Add(RecipeDiagnostic diagnostic)
    {
        if (diagnostics.Count == MaxMistakes)
        {
            diagnostics.Add(diagnostic with { Id = DiagnosticIds.BrokenYaml, Message = $"there are more than {MaxMistakes} mistakes; correct those before this line first" });
            throw new TooManyMistakes();
        }

        diagnostics.Add(diagnostic);
    }

    private void Report(string id, string message, SourceSpan span) => Report(new(id, Severity.Error, message, span));

    private RecipeDraft RefuseRoot(YamlNode? root)
    {
        if (diagnostics.Count == 0)
        {
            string found = root is null or YamlScalar { IsEmpty: true } ? "is empty" : "is " + root.Kind;
            Report(DiagnosticIds.BrokenYaml, $"{Owner} {found}; start it with 'recipe: <name>'", root?.Span ?? start);
        }

        return new() { Span = start };
    }

    private RecipeDraft ReadRecipe(MappingReader reader)
    {
        reader.RefuseOthers(Owner, Keys);
        reader.WarnOfDeprecated(RecipeCatalog.Recipe);
        CheckVersion(reader);
        var name = reader.RequiredText("recipe", Owner, "'recipe: <name>'", start);
        if (name is not null && RecipeCatalog.CheckName(name.Text) is { } problem)
        {
            Report(DiagnosticIds.InvalidValue, problem, name.Span);
            name = null;
        }

        var span = name?.Span ?? start;
        bool alone = reader.Find("extends") is null;
        var steps = reader.Find("steps");
        if (alone && steps is null)
        {
            reader.RequiredText("steps", Owner, "'steps:' with what to do to which layers", span);
        }
        else if (alone && steps is YamlSequence { Items.Count: 0 })
        {
            Report(DiagnosticIds.MissingSetting, "'steps' is an empty list; add an entry '- match: <layers>' with a step below it", steps.Span);
        }

        return new()
        {
            Name = name?.Text,
            Model = alone ? reader.RequiredText("model", Owner, "'model: <class>' with the model's full class name", span) : reader.Text("model"),
            Weights = alone ? reader.RequiredText("weights", Owner, "'weights: <file>' with a safetensors file or folder", span) : reader.Text("weights"),
            Tokenizer = reader.Text("tokenizer"),
            Seed = (long?)ReadSetting(reader, nameof(RecipeAttribute.Seed))?.Value,
            Calibrate = ReadCalibrate(reader),
            Train = ReadTrain(reader),
            Analyze = ReadAnalyses(reader),
            Evaluate = ReadEvaluate(reader),
            Budget = ReadBudget(reader),
            Allocate = ReadSetting(reader, nameof(RecipeAttribute.Allocate)) is { } method ? new((AllocationMethod)method.Value, method.Span) : null,
            Export = ReadExport(reader),
            Extends = reader.Text("extends"),
            Rules = steps is null ? default : new(new StepsReader(Report).Read(steps)),
            Span = span,
        };
    }

    private void CheckVersion(MappingReader reader)
    {
        if (reader.Text("version") is { Text: not "1" } version)
        {
            Report(DiagnosticIds.InvalidValue, $"'version' is '{version.Text}'; this release reads version 1", version.Span);
        }
    }

    private Budget? ReadBudget(MappingReader reader)
    {
        if (reader.Text("budget") is not { } written)
        {
            return null;
        }

        var budget = Budget.Parse(written.Text, written.Span, out string problem);
        if (budget is null)
        {
            Report(DiagnosticIds.InvalidValue, problem, written.Span);
        }

        return budget;
    }

    private static (object Value, SourceSpan Span)? ReadSetting(MappingReader reader, string property)
    {
        var setting = SettingOf(property);
        return reader.Find(setting.Name) is { } node && reader.TryRead(setting, node, out object value) ? (value, node.Span) : null;
    }

    private object? ReadValue(SettingDescriptor setting, WrittenText written)
    {
        if (setting.TryParse(written.Text, out object value, out string problem))
        {
            return value;
        }

        Report(DiagnosticIds.InvalidValue, problem, written.Span);
        return null;
    }

    private static SettingDescriptor SettingOf(string property) => RecipeCatalog.Recipe.First(known => known.PropertyName == property);

    /// <summary>One format, or a list of them.</summary>
    private WrittenExport? ReadExport(MappingReader reader)
    {
        var setting = SettingOf(nameof(RecipeAttribute.Export));
        if (reader.Find(setting.Name) is not { } node)
        {
            return null;
        }

        if (node is YamlSequence { Items.Count: 0 })
        {
            Report(DiagnosticIds.InvalidValue, $"'{setting.Name}' is an empty list; name a format, or drop it", node.Span);
        }

        var formats = ExportFormats.None;
        foreach (var item in node is YamlSequence list ? list.Items : [node])
        {
            if (reader.TextOf(setting.Name, item) is not { } written || ReadValue(setting, written) is not ExportFormats format)
            {
                continue;
            }

            if (formats.HasFlag(format) && (format != ExportFormats.None || node is YamlSequence))
            {
                Report(DiagnosticIds.InvalidValue, format == ExportFormats.None ? $"'{written.Text}' has no place in a list of formats; drop it" : $"'{written.Text}' stands twice in '{setting.Name}'; keep one of them", written.Span);
            }

            formats |= format;
        }

        return new(formats, node.Span);
    }

    private Calibration? ReadCalibrate(MappingReader recipe)
    {
        if (ReadData(recipe, "calibrate", RecipeCatalog.Calibrate) is not { } entry)
        {
            return null;
        }

        var settings = new CalibrateAttribute(entry.Data.Text);
        RecipeCatalog.CheckTextSettings(settings.Data, entry.Reader.Settings(RecipeCatalog.Calibrate, settings), Report);
        return RecipeCatalog.Bind(settings, entry.Span, entry.Data.Span);
    }

    private FineTuning? ReadTrain(MappingReader recipe)
    {
        if (ReadData(recipe, "train", RecipeCatalog.Train) is not { } entry)
        {
            return null;
        }

        var settings = new TrainAttribute(entry.Data.Text);
        return RecipeCatalog.Bind(settings, entry.Reader.Settings(RecipeCatalog.Train, settings), entry.Span, entry.Data.Span, Report);
    }

    private EquatableArray<PlacedAnalysis>? ReadAnalyses(MappingReader recipe)
    {
        if (recipe.Find("analyze") is not { } node)
        {
            return null;
        }

        if (node is not YamlMapping mapping)
        {
            Report(DiagnosticIds.BrokenYaml, $"'analyze' is {node.Kind}; write what to look for, such as {{ intruderDimensions: {{ topK: 10 }} }}", node.Span);
            return null;
        }

        if (mapping.Entries.Count == 0 && recipe.Find("extends") is null)
        {
            Report(DiagnosticIds.MissingSetting, "'analyze' is empty; write what to look for, such as { intruderDimensions: { topK: 10 } }, or drop it", node.Span);
        }

        var words = new WordReader(Report);
        var found = new MappingReader(mapping, Report).Entries.Where(entry => !entry.Key.IsRefused)
            .Select(entry => words.Read(entry.Key, entry.Value, "analysis", AnalysisCatalog.Analyses) is { } read ? new PlacedAnalysis((Analyze)read.Word, read.Given, entry.Key.Span) : null);
        return new(found.OfType<PlacedAnalysis>().OrderBy(analysis => AnalysisCatalog.Of(analysis.Analysis).Name, StringComparer.Ordinal));
    }

    private Evaluation? ReadEvaluate(MappingReader recipe)
    {
        if (ReadData(recipe, "evaluate", RecipeCatalog.Evaluate) is not { } entry)
        {
            return null;
        }

        var settings = new EvaluateAttribute(entry.Data.Text);
        var given = entry.Reader.Settings(RecipeCatalog.Evaluate, settings);
        RecipeCatalog.CheckTextSettings(settings.Data, given, Report);
        var limit = given?.FirstOrDefault(setting => setting.Name == nameof(EvaluateAttribute.MaxRegression));
        bool isPlain = limit is not null && entry.Reader.Text(SettingDescriptor.CamelCase(limit.Name)) is { } text && !text.Text.EndsWith("%", StringComparison.Ordinal);
        return RecipeCatalog.Bind(settings, isPlain, limit?.Span ?? entry.Span, entry.Data.Span, Report);
    }

    private (MappingReader Reader, WrittenText Data, SourceSpan Span)? ReadData(MappingReader recipe, string key, IReadOnlyList<SettingDescriptor> settings)
    {
        if (recipe.Find(key) is not { } node)
        {
            return null;
        }

        if (node is not YamlMapping mapping)
        {
            Report(DiagnosticIds.BrokenYaml, $"'{key}' is {node.Kind}; write {{ data: <file> }}", node.Span);
            return (new(new([], node.Span), Report), new("", node.Span), recipe.SpanOf(key));
        }

        var reader = new MappingReader(mapping, Report);
        reader.RefuseOthers($"'{key}'", ["data", .. settings.Select(setting => setting.Name)]);
        var data = reader.RequiredText("data", $"'{key}'", "'data: <file>'", node.Span);
        return (reader, data ?? new("", node.Span), recipe.SpanOf(key));
    }

    /// <summary>Ends the reading.</summary>
    private sealed class TooManyMistakes : Exception;
}
