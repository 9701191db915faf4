using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Emit;

/// <summary>Writes recipes and model trees as C# expressions.</summary>
/// <param name="options">What makes paths relative.</param>
/// <param name="mainFile">The file that most places are in: it is not repeated.</param>
internal sealed class RecipeLiterals(ProjectOptions options, string mainFile)
{
    private const string Recipes = "global::PipelineDsl.Recipes.";
    private const string Models = "global::PipelineDsl.Models.";
    private const string Span = "global::PipelineDsl.Diagnostics.SourceSpan";
    private const string Kinds = "global::PipelineDsl.LayerKinds";

    /// <summary>The class that holds what is written in the recipe. It stands apart, so that the pipeline class holds code alone: a changed rank is no changed code.</summary>
    public void WriteData(CodeWriter code, PipelineModel pipeline)
    {
        code.Summary("What is written in the recipe and shown by the source, as data.")
            .Origin()
            .Open("file static class Written");
        WriteTree(code, pipeline.Tree);
        code.Line();
        if (pipeline.Recipe is { } recipe)
        {
            WriteRecipe(code, recipe);
            code.Line();
        }

        WriteShortForms(code);
        code.Close();
    }

    private void WriteShortForms(CodeWriter code) => code
        .Line($"public static {Span} At(int line, int column, int endLine, int endColumn, string path = {CodeWriter.Literal(mainFile)}) => new(path, line, column, endLine, endColumn);")
        .Line()
        .Line($"public static {Recipes}Rule Rule(string match, int level, {Span} at, params {Recipes}PlacedStep[] steps) => new(match, new(steps), at, level);")
        .Line()
        .Line($"public static {Recipes}PlacedStep Step(global::PipelineDsl.Step step, {Span} at, params {Recipes}GivenSetting[] given) => new(step, new(given), at);")
        .Line()
        .Line($"public static {Recipes}GivenSetting Given(string name, {Span} at) => new(name, at);")
        .Line()
        .Line($"public static {Models}ModelMember Member(string path, string typeName, {Kinds}? kind, {Span} at) => new(path, typeName, kind, null, at, default);")
        .Line()
        .Line($"public static {Models}ModelMember Member(string path, string typeName, {Kinds} kind, long rows, long columns, {Span} at) => new(path, typeName, kind, new(kind, rows, columns), at, default);");

    private void WriteRecipe(CodeWriter code, Recipe recipe)
    {
        code.Open($"public static {Recipes}Recipe Recipe {{ get; }} = new()")
            .Line($"Name = {CodeWriter.Literal(recipe.Name)},")
            .Line($"Model = {CodeWriter.Literal(recipe.Model)},")
            .Line($"Weights = {CodeWriter.Literal(recipe.Weights)},")
            .Line($"Tokenizer = {Text(recipe.Tokenizer)},")
            .Line($"Seed = {recipe.Seed.ToString(CultureInfo.InvariantCulture)},")
            .Line($"Calibrate = {Calibration(recipe.Calibrate)},")
            .Line($"Train = {Training(recipe.Train)},")
            .Line($"Analyze = {(recipe.Analyze.Count == 0 ? "default" : $"new(new {Recipes}PlacedAnalysis[] {{ {string.Join(", ", recipe.Analyze.Select(Analysis))} }})")},")
            .Line($"Evaluate = {Evaluation(recipe.Evaluate)},")
            .Line($"Budget = {Budget(recipe.Budget)},")
            .Line($"Allocate = {Value(recipe.Allocate)},")
            .Line($"Export = {Value(recipe.Export)},")
            .Line($"Span = {At(recipe.Span)},")
            .Line($"WeightsSpan = {At(recipe.WeightsSpan)},")
            .Line($"TokenizerSpan = {Place(recipe.TokenizerSpan)},")
            .Line($"ExportSpan = {Place(recipe.ExportSpan)},");
        WriteList(code, $"Rules = new(new {Recipes}Rule[]", recipe.Rules.Select(Rule), "),");
        code.Close("};");
    }

    private void WriteTree(CodeWriter code, ModelTree tree) =>
        WriteList(code, $"public static {Models}ModelTree Modules {{ get; }} = new({CodeWriter.Literal(tree.Name)}, new(new {Models}ModelMember[]", tree.Members.Select(Member), "));");

    private static void WriteList(CodeWriter code, string head, IEnumerable<string> items, string end)
    {
        code.Open(head);
        foreach (string item in items)
        {
            code.Line(item + ",");
        }

        code.Close("}" + end);
    }

    private string Rule(Rule rule) => $"Written.Rule({CodeWriter.Literal(rule.Match)}, {Number(rule.Level)}, {At(rule.Span)}{string.Concat(rule.Steps.Select(step => ", " + Step(step)))})";

    private string Step(PlacedStep placed)
    {
        var descriptor = StepCatalog.Of(placed.Step);
        string step = $"new global::{descriptor.Type.FullName}" + (placed.Given.Count == 0 ? "()" : Settings(placed.Step, descriptor.Settings, placed.Given));
        return $"Written.Step({step}, {At(placed.Span)}{string.Concat(placed.Given.Select(setting => ", " + Given(setting)))})";
    }

    private static string Settings(Attribute owner, IReadOnlyList<SettingDescriptor> known, EquatableArray<GivenSetting> given) =>
        $" {{ {string.Join(", ", given.Select(setting => $"{setting.Name} = {Value(known.First(descriptor => descriptor.PropertyName == setting.Name).Get(owner))}"))} }}";

    private string Given(GivenSetting setting) => $"Written.Given({CodeWriter.Literal(setting.Name)}, {At(setting.Span)})";

    private string Member(ModelMember member)
    {
        string kind = member.Kind is { } known ? Value(known) : "null";
        string shape = member.Shape is { } matrix ? $", {Number(matrix.Rows)}, {Number(matrix.Columns)}" : "";
        return $"Written.Member({CodeWriter.Literal(member.Path)}, {CodeWriter.Literal(member.TypeName)}, {kind}{shape}, {At(member.Span)})";
    }

    private string Calibration(Calibration? data) => data is null
        ? "null"
        : $"new({CodeWriter.Literal(data.Data)}, {Number(data.Samples)}, {Number(data.SequenceLength)}, {At(data.Span)}, {At(data.DataSpan)})";

    private string Training(FineTuning? training) => training is null
        ? "null"
        : $"new(new global::{typeof(TrainAttribute).FullName}({CodeWriter.Literal(training.Settings.Data)}){(training.Given.Count == 0 ? "" : Settings(training.Settings, RecipeCatalog.Train, training.Given))}, new(new {Recipes}GivenSetting[] {{ {string.Join(", ", training.Given.Select(Given))} }}), {At(training.Span)}, {At(training.DataSpan)})";

    private string Analysis(PlacedAnalysis placed)
    {
        var descriptor = AnalysisCatalog.Of(placed.Analysis);
        string analysis = $"new global::{descriptor.Type.FullName}" + (placed.Given.Count == 0 ? "()" : Settings(placed.Analysis, descriptor.Settings, placed.Given));
        return $"new({analysis}, new(new {Recipes}GivenSetting[] {{ {string.Join(", ", placed.Given.Select(Given))} }}), {At(placed.Span)})";
    }

    private string Budget(Budget? budget) => budget is null
        ? "null"
        : $"new({Value(budget.Amount)}, {Value(budget.Unit)}, {CodeWriter.Literal(budget.Text)}, {At(budget.Span)})";

    private string Evaluation(Evaluation? data) => data is null
        ? "null"
        : $"new({CodeWriter.Literal(data.Data)}, {Value(data.Metric)}, {Number(data.SequenceLength)}, {(data.MaxRegression is { } limit ? Value(limit) : "null")}, {At(data.Span)}, {At(data.DataSpan)})";

    private string Place(SourceSpan? span) => span is null ? "null" : At(span);

    private string At(SourceSpan span)
    {
        string file = options.Relative(span.Path);
        string path = file == mainFile ? "" : ", " + CodeWriter.Literal(file);
        return $"Written.At({Number(span.Line)}, {Number(span.Column)}, {Number(span.EndLine)}, {Number(span.EndColumn)}{path})";
    }

    private static string Text(string? text) => text is null ? "null" : CodeWriter.Literal(text);

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Value(object value) => value switch
    {
        string text => CodeWriter.Literal(text),
        bool flag => flag ? "true" : "false",
        double number => number.ToString("R", CultureInfo.InvariantCulture) + "D",
        Enum choice => string.Join(" | ", choice.ToString().Split([", "], StringSplitOptions.None).Select(name => $"global::{choice.GetType().FullName}.{name}")),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };
}
