using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using PipelineDsl.Recipes;

namespace PipelineDsl.CodeFixes;

/// <summary>Writes the words of a recipe as attributes.</summary>
/// <param name="semantics">What names mean in the file.</param>
/// <param name="position">Where the attributes go.</param>
internal sealed class AttributeText(SemanticModel semantics, int position)
{
    private const string Language = "PipelineDsl";

    /// <summary>Whether the file sees the language's names.</summary>
    public bool IsNamed { get; } = semantics.LookupNamespacesAndTypes(position, name: nameof(RecipeAttribute)).Any(IsOurs);

    /// <summary>The attributes of a model's class.</summary>
    public IEnumerable<string> Recipe(Recipe recipe)
    {
        var settings = new RecipeAttribute(recipe.Name)
        {
            Weights = recipe.Weights,
            Tokenizer = recipe.Tokenizer ?? "",
            Seed = recipe.Seed,
            Budget = recipe.Budget?.Text ?? "",
            Allocate = recipe.Allocate,
            Export = recipe.Export,
        };
        var written = RecipeWriter.Unusual(settings, RecipeCatalog.Recipe).OrderBy(item => item.Setting.PropertyName == nameof(RecipeAttribute.Weights) ? 0 : 1);
        yield return Write(typeof(RecipeAttribute), recipe.Name, written);
        if (recipe.Calibrate is { } calibrate)
        {
            yield return Write(typeof(CalibrateAttribute), calibrate.Data, RecipeWriter.Unusual(RecipeWriter.AttributeOf(calibrate), RecipeCatalog.Calibrate));
        }

        if (recipe.Train is { } train)
        {
            yield return Write(typeof(TrainAttribute), train.Settings.Data, RecipeWriter.Given(train.Settings, RecipeCatalog.Train, train.Given));
        }

        foreach (var placed in recipe.Analyze)
        {
            yield return Write(placed.Analysis.GetType(), null, RecipeWriter.Given(placed.Analysis, AnalysisCatalog.Of(placed.Analysis).Settings, placed.Given));
        }

        if (recipe.Evaluate is { } evaluate)
        {
            yield return Write(typeof(EvaluateAttribute), evaluate.Data, RecipeWriter.Unusual(RecipeWriter.AttributeOf(evaluate), RecipeCatalog.Evaluate));
        }
    }

    /// <summary>A step on a member.</summary>
    public string Step(PlacedStep placed) => Write(placed.Step.GetType(), null, RecipeWriter.Given(placed.Step, StepCatalog.Of(placed.Step).Settings, placed.Given));

    private string Write(Type type, string? first, IEnumerable<(SettingDescriptor Setting, object Value)> settings)
    {
        string name = type.Name.EndsWith(nameof(Attribute), StringComparison.Ordinal) ? type.Name.Substring(0, type.Name.Length - nameof(Attribute).Length) : type.Name;
        string[] arguments = [.. first is null ? [] : new[] { Literal(first) }, .. settings.Select(item => $"{item.Setting.PropertyName} = {Value(item.Value)}")];
        return $"[{Named(name)}{(arguments.Length == 0 ? "" : $"({string.Join(", ", arguments)})")}]";
    }

    /// <summary>A short name, unless it means something else here.</summary>
    private string Named(string name) =>
        semantics.LookupNamespacesAndTypes(position, name: name).Concat(semantics.LookupNamespacesAndTypes(position, name: name + nameof(Attribute))).All(IsOurs) ? name : $"global::{Language}.{name}";

    private string Value(object value) => value switch
    {
        string text => Literal(text),
        bool flag => flag ? "true" : "false",
        double number => Number(number),
        Enum choice => string.Join(" | ", choice.ToString().Split([", "], StringSplitOptions.None).Select(name => $"{Named(choice.GetType().Name)}.{name}")),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };

    /// <summary>Digits alone are read as an integer, which may be too large for one.</summary>
    private static string Number(double number)
    {
        string digits = number.ToString("R", CultureInfo.InvariantCulture);
        return digits.Length > 9 && digits.All(c => c is '-' or (>= '0' and <= '9')) ? digits + "D" : digits;
    }

    private static string Literal(string text) => SymbolDisplay.FormatLiteral(text, quote: true);

    private static bool IsOurs(ISymbol symbol) => symbol.ContainingNamespace is { Name: Language, ContainingNamespace.IsGlobalNamespace: true };
}
