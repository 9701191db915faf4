using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using PipelineDsl.Recipes;

namespace PipelineDsl.CodeFixes;

/// <summary>The words of the language as C# names them.</summary>
internal static class Language
{
    /// <summary>The namespace of all of them.</summary>
    public const string Namespace = "PipelineDsl";

    /// <summary>What stands on a model's class.</summary>
    public static IEnumerable<string> Headings => new[] { typeof(RecipeAttribute), typeof(CalibrateAttribute), typeof(TrainAttribute), typeof(EvaluateAttribute) }.Select(ShortName)
        .Concat(AnalysisCatalog.Analyses.Select(word => word.Type.Name));

    /// <summary>Whether a type belongs to the language.</summary>
    public static bool IsIn(ISymbol type) => type.ContainingNamespace is { Name: Namespace, ContainingNamespace.IsGlobalNamespace: true };

    /// <summary>How a word is written in brackets.</summary>
    public static string ShortName(Type type) => type.Name.EndsWith(nameof(Attribute), StringComparison.Ordinal) ? type.Name.Substring(0, type.Name.Length - nameof(Attribute).Length) : type.Name;

    /// <summary>The settings of a word, by the name of its class.</summary>
    public static IEnumerable<string> SettingsOf(string word) => Settings(word).Select(setting => setting.PropertyName);

    private static IReadOnlyList<SettingDescriptor> Settings(string word) => word switch
    {
        nameof(RecipeAttribute) => RecipeCatalog.Recipe,
        nameof(CalibrateAttribute) => RecipeCatalog.Calibrate,
        nameof(TrainAttribute) => RecipeCatalog.Train,
        nameof(EvaluateAttribute) => RecipeCatalog.Evaluate,
        _ => StepCatalog.Steps.Concat(AnalysisCatalog.Analyses).FirstOrDefault(known => known.Type.Name == word)?.Settings ?? [],
    };
}
