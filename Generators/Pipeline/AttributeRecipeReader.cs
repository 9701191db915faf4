using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Models;
using PipelineDsl.Recipes;

namespace PipelineDsl.Generators.Pipeline;

/// <summary>Reads [Recipe], [Calibrate], [Train], what to look for, and [Evaluate] off a model class.</summary>
internal sealed class AttributeRecipeReader
{
    private readonly List<RecipeDiagnostic> problems = [];
    private readonly INamedTypeSymbol type;
    private readonly CancellationToken cancellation;

    private AttributeRecipeReader(INamedTypeSymbol type, CancellationToken cancellation)
    {
        this.type = type;
        this.cancellation = cancellation;
    }

    public static AttributeRecipe Read(GeneratorAttributeSyntaxContext context, CancellationToken cancellation)
    {
        var type = (INamedTypeSymbol)context.TargetSymbol;
        var reader = new AttributeRecipeReader(type, cancellation);
        var draft = reader.ReadDraft(context.Attributes[0]);
        return new(SymbolFacts.FullName(type), new(draft, new(reader.problems)));
    }

    private RecipeDraft ReadDraft(AttributeData attribute)
    {
        var span = AttributeSettings.SpanOf(attribute, null, cancellation);
        string? name = FirstText(attribute);
        if (name is not null && RecipeCatalog.CheckName(name) is { } problem)
        {
            Report(DiagnosticIds.InvalidValue, problem, span);
            name = null;
        }

        var settings = new RecipeAttribute(name ?? "");
        var given = AttributeSettings.Read(attribute, RecipeCatalog.Recipe, settings, problems.Add, cancellation);
        if (settings.Weights.Length == 0)
        {
            Report(DiagnosticIds.MissingSetting, "the recipe has no weights; add Weights = \"<file>\" with a safetensors file or folder", AttributeSettings.SpanOf(attribute, nameof(RecipeAttribute.Weights), cancellation));
        }

        return new()
        {
            Name = name,
            Model = new(SymbolFacts.FullName(type), span),
            Weights = Written(attribute, settings.Weights, nameof(RecipeAttribute.Weights)),
            Tokenizer = Written(attribute, settings.Tokenizer, nameof(RecipeAttribute.Tokenizer)),
            Seed = settings.Seed,
            Calibrate = ReadCalibrate(),
            Train = ReadTrain(),
            Analyze = ReadAnalyses(),
            Evaluate = ReadEvaluate(),
            Budget = ReadBudget(attribute, settings.Budget),
            Allocate = given?.FirstOrDefault(setting => setting.Name == nameof(RecipeAttribute.Allocate)) is { } allocate ? new(settings.Allocate, allocate.Span) : null,
            Export = given?.FirstOrDefault(setting => setting.Name == nameof(RecipeAttribute.Export)) is { } export ? new(settings.Export, export.Span) : null,
            Span = span,
        };
    }

    private WrittenText? Written(AttributeData attribute, string value, string setting) =>
        value.Length == 0 ? null : new(value, AttributeSettings.SpanOf(attribute, setting, cancellation));

    private Budget? ReadBudget(AttributeData attribute, string text)
    {
        if (Written(attribute, text, nameof(RecipeAttribute.Budget)) is not { } written)
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

    private Calibration? ReadCalibrate()
    {
        if (Find(nameof(CalibrateAttribute)) is not { } attribute || FirstText(attribute) is not { } data)
        {
            return null;
        }

        var settings = new CalibrateAttribute(data);
        RecipeCatalog.CheckTextSettings(data, AttributeSettings.Read(attribute, RecipeCatalog.Calibrate, settings, problems.Add, cancellation), problems.Add);
        return RecipeCatalog.Bind(settings, AttributeSettings.SpanOf(attribute, cancellation), DataSpan(attribute, data));
    }

    private FineTuning? ReadTrain()
    {
        if (Find(nameof(TrainAttribute)) is not { } attribute || FirstText(attribute) is not { } data)
        {
            return null;
        }

        var settings = new TrainAttribute(data);
        var given = AttributeSettings.Read(attribute, RecipeCatalog.Train, settings, problems.Add, cancellation);
        return RecipeCatalog.Bind(settings, given, AttributeSettings.SpanOf(attribute, cancellation), DataSpan(attribute, data), problems.Add);
    }

    private EquatableArray<PlacedAnalysis> ReadAnalyses() => new(AnalysisCatalog.Analyses.Select(ReadAnalysis).OfType<PlacedAnalysis>());

    private PlacedAnalysis? ReadAnalysis(WordDescriptor word)
    {
        if (Find(word.Type.Name) is not { } attribute)
        {
            return null;
        }

        var settings = word.New();
        return AttributeSettings.Read(attribute, word.Settings, settings, problems.Add, cancellation) is { } given
            ? new((Analyze)settings, new(given), AttributeSettings.SpanOf(attribute, cancellation))
            : null;
    }

    private Evaluation? ReadEvaluate()
    {
        if (Find(nameof(EvaluateAttribute)) is not { } attribute || FirstText(attribute) is not { } data)
        {
            return null;
        }

        var settings = new EvaluateAttribute(data);
        var given = AttributeSettings.Read(attribute, RecipeCatalog.Evaluate, settings, problems.Add, cancellation);
        RecipeCatalog.CheckTextSettings(data, given, problems.Add);
        var limit = given?.FirstOrDefault(setting => setting.Name == nameof(EvaluateAttribute.MaxRegression));
        return RecipeCatalog.Bind(settings, limit is not null, limit?.Span ?? AttributeSettings.SpanOf(attribute, cancellation), DataSpan(attribute, data), problems.Add);
    }

    private SourceSpan DataSpan(AttributeData attribute, string data)
    {
        var span = AttributeSettings.SpanOf(attribute, null, cancellation);
        if (data.Length == 0)
        {
            Report(DiagnosticIds.InvalidValue, "the data is empty; name a file", span);
        }

        return span;
    }

    private AttributeData? Find(string name) => type.GetAttributes().FirstOrDefault(attribute => SymbolFacts.IsWord(attribute.AttributeClass, name));

    private static string? FirstText(AttributeData attribute) => attribute.ConstructorArguments switch
    {
        [{ Value: string text }, ..] => text,
        [{ Kind: TypedConstantKind.Primitive, IsNull: true }, ..] => "",
        _ => null, // The compiler itself refuses it.
    };

    private void Report(string id, string message, SourceSpan span) => problems.Add(new(id, Severity.Error, message, span));
}
