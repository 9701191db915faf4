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

    /// <summary>The helper class that the expressions use.</summary>
    public void WriteHelpers(CodeWriter code) => code
        .Summary("Short forms for the data of the class above.")
        .Origin()
        .Open("file static class Written")
        .Line($"public static global::PipelineDsl.Diagnostics.SourceSpan At(int line, int column, int endLine, int endColumn, string path = {CodeWriter.Literal(mainFile)}) => new(path, line, column, endLine, endColumn);")
        .Line()
        .Line($"public static {Recipes}EquatableArray<T> List<T>(params T[] items) => new(items);")
        .Close();

    public void WriteRecipe(CodeWriter code, Recipe recipe)
    {
        code.Open($"public override {Recipes}Recipe Recipe {{ get; }} = new()")
            .Line($"Name = {CodeWriter.Literal(recipe.Name)},")
            .Line($"Model = {CodeWriter.Literal(recipe.Model)},")
            .Line($"Weights = {CodeWriter.Literal(recipe.Weights)},")
            .Line($"Tokenizer = {Text(recipe.Tokenizer)},")
            .Line($"Seed = {recipe.Seed.ToString(CultureInfo.InvariantCulture)},")
            .Line($"Calibrate = {Calibration(recipe.Calibrate)},")
            .Line($"Evaluate = {Evaluation(recipe.Evaluate)},")
            .Line($"Span = {At(recipe.Span)},")
            .Line($"WeightsSpan = {At(recipe.WeightsSpan)},")
            .Line($"TokenizerSpan = {(recipe.TokenizerSpan is { } span ? At(span) : "null")},");
        WriteList(code, $"Rules = Written.List<{Recipes}Rule>(", [.. recipe.Rules.Select(Rule)], "),");
        code.Close("};");
    }

    public void WriteTree(CodeWriter code, ModelTree tree)
    {
        code.Open($"public static {Models}ModelTree Modules {{ get; }} = new(")
            .Line($"{CodeWriter.Literal(tree.Name)},");
        WriteList(code, $"Written.List<{Models}ModelMember>(", [.. tree.Members.Select(Member)], "));");
        code.Close("");
    }

    private static void WriteList(CodeWriter code, string open, List<string> items, string close)
    {
        code.Line(open + (items.Count == 0 ? close : ""));
        for (int i = 0; i < items.Count; i++)
        {
            code.Line("    " + items[i] + (i < items.Count - 1 ? "," : close));
        }
    }

    private string Rule(Rule rule) => $"new({CodeWriter.Literal(rule.Match)}, Written.List<{Recipes}PlacedStep>({string.Join(", ", rule.Steps.Select(Step))}), {At(rule.Span)}, {Number(rule.Level)})";

    private string Step(PlacedStep placed)
    {
        var descriptor = StepCatalog.Of(placed.Step);
        var given = placed.Given.OrderBy(setting => setting.Name, StringComparer.Ordinal).ToList();
        var values = given.Select(setting => $"{setting.Name} = {Value(descriptor.Settings.First(known => known.PropertyName == setting.Name).Get(placed.Step))}");
        var spans = given.Select(setting => $"new({CodeWriter.Literal(setting.Name)}, {At(setting.Span)})");
        string step = $"new global::{descriptor.Type.FullName}" + (given.Count == 0 ? "()" : $" {{ {string.Join(", ", values)} }}");
        return $"new({step}, Written.List<{Recipes}GivenSetting>({string.Join(", ", spans)}), {At(placed.Span)})";
    }

    private string Member(ModelMember member)
    {
        string shape = member.Shape is { } known ? $"new({Value(known.Kind)}, {Number(known.Rows)}, {Number(known.Columns)})" : "null";
        return $"new({CodeWriter.Literal(member.Path)}, {CodeWriter.Literal(member.TypeName)}, {(member.Kind is { } kind ? Value(kind) : "null")}, {shape}, {At(member.Span)}, default)";
    }

    private string Calibration(Calibration? data) => data is null
        ? "null"
        : $"new({CodeWriter.Literal(data.Data)}, {Number(data.Samples)}, {Number(data.SequenceLength)}, {At(data.Span)}, {At(data.DataSpan)})";

    private string Evaluation(Evaluation? data) => data is null
        ? "null"
        : $"new({CodeWriter.Literal(data.Data)}, {Value(data.Metric)}, {Number(data.SequenceLength)}, {(data.MaxRegression is { } limit ? Value(limit) : "null")}, {At(data.Span)}, {At(data.DataSpan)})";

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
        Enum choice => $"global::{choice.GetType().FullName}.{choice}",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };
}
