using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;
using PipelineDsl.Diagnostics;

namespace PipelineDsl.Generators.Diagnostics;

/// <summary>The compiler's side of each diagnostic that the generator can report.</summary>
internal static class DiagnosticDescriptors
{
    private const string Usage = "PipelineDsl.Usage";
    private const string Recipe = "PipelineDsl.Recipe";
    private const string Help = DiagnosticPages.Folder;

    private static readonly DiagnosticDescriptor NotCompressible = new(DiagnosticIds.NotCompressible, "A step stands on a member that has no weight it can work on", "{0}", Usage, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.NotCompressible + ".md");
    private static readonly DiagnosticDescriptor ModelNotCreatable = new(DiagnosticIds.ModelNotCreatable, "A model class that the pipeline cannot create", "{0}", Usage, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.ModelNotCreatable + ".md");
    private static readonly DiagnosticDescriptor StepWithoutRecipe = new(DiagnosticIds.StepWithoutRecipe, "A step attribute on a class that no recipe reaches", "{0}", Usage, DiagnosticSeverity.Warning, true, helpLinkUri: Help + DiagnosticIds.StepWithoutRecipe + ".md");
    /// <summary>Reported by an analyzer, for its cure is in the code.</summary>
    public static readonly DiagnosticDescriptor ForwardPassesHooks = new(DiagnosticIds.ForwardPassesHooks, "A module of a model that is run by 'forward', past its hooks", "{0}", Usage, DiagnosticSeverity.Warning, true, helpLinkUri: Help + DiagnosticIds.ForwardPassesHooks + ".md");

    private static readonly DiagnosticDescriptor BrokenYaml = new(DiagnosticIds.BrokenYaml, "Text that is not YAML, or YAML of the wrong shape", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.BrokenYaml + ".md");
    private static readonly DiagnosticDescriptor UnknownKey = new(DiagnosticIds.UnknownKey, "A key that the language does not have", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.UnknownKey + ".md");
    private static readonly DiagnosticDescriptor UnknownMethod = new(DiagnosticIds.UnknownMethod, "A method that the language does not have", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.UnknownMethod + ".md");
    private static readonly DiagnosticDescriptor InvalidValue = new(DiagnosticIds.InvalidValue, "A value of the wrong type or outside its range", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.InvalidValue + ".md");
    private static readonly DiagnosticDescriptor MissingSetting = new(DiagnosticIds.MissingSetting, "A key or setting that must be there", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.MissingSetting + ".md");
    private static readonly DiagnosticDescriptor DuplicateKey = new(DiagnosticIds.DuplicateKey, "The same key twice", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.DuplicateKey + ".md");
    private static readonly DiagnosticDescriptor ContradictorySettings = new(DiagnosticIds.ContradictorySettings, "Settings of one step that exclude each other", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.ContradictorySettings + ".md");
    private static readonly DiagnosticDescriptor ContradictorySteps = new(DiagnosticIds.ContradictorySteps, "Steps of one layer that exclude each other", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.ContradictorySteps + ".md");
    private static readonly DiagnosticDescriptor RankTooLarge = new(DiagnosticIds.RankTooLarge, "A rank above the smaller side of the weight", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.RankTooLarge + ".md");
    private static readonly DiagnosticDescriptor RankSavesNothing = new(DiagnosticIds.RankSavesNothing, "A rank whose factors are no smaller than the weight", "{0}", Recipe, DiagnosticSeverity.Warning, true, helpLinkUri: Help + DiagnosticIds.RankSavesNothing + ".md");
    private static readonly DiagnosticDescriptor GroupTooLarge = new(DiagnosticIds.GroupTooLarge, "A group longer than a row", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.GroupTooLarge + ".md");
    private static readonly DiagnosticDescriptor PatternMatchesNothing = new(DiagnosticIds.PatternMatchesNothing, "A pattern that matches no layer", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.PatternMatchesNothing + ".md");
    private static readonly DiagnosticDescriptor UnknownModel = new(DiagnosticIds.UnknownModel, "A model class that is not in the project", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.UnknownModel + ".md");
    private static readonly DiagnosticDescriptor DuplicateRecipe = new(DiagnosticIds.DuplicateRecipe, "Two recipes of one name", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.DuplicateRecipe + ".md");
    private static readonly DiagnosticDescriptor UnknownBaseRecipe = new(DiagnosticIds.UnknownBaseRecipe, "A recipe to extend that does not exist, or a circle of them", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.UnknownBaseRecipe + ".md");
    private static readonly DiagnosticDescriptor OverriddenLayer = new(DiagnosticIds.OverriddenLayer, "A layer whose steps another recipe overrides", "{0}", Recipe, DiagnosticSeverity.Info, true, helpLinkUri: Help + DiagnosticIds.OverriddenLayer + ".md");
    private static readonly DiagnosticDescriptor PathOutsideProject = new(DiagnosticIds.PathOutsideProject, "A path that leaves the project", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.PathOutsideProject + ".md");
    private static readonly DiagnosticDescriptor YamlLibraryMismatch = new(DiagnosticIds.YamlLibraryMismatch, "The YAML library that was loaded beside the compiler does not fit", "{0}", Recipe, DiagnosticSeverity.Error, true, helpLinkUri: Help + DiagnosticIds.YamlLibraryMismatch + ".md");
    private static readonly DiagnosticDescriptor WithoutEffect = new(DiagnosticIds.WithoutEffect, "An entry, a step, a setting or data without effect", "{0}", Recipe, DiagnosticSeverity.Warning, true, helpLinkUri: Help + DiagnosticIds.WithoutEffect + ".md");
    private static readonly DiagnosticDescriptor Deprecated = new(DiagnosticIds.Deprecated, "A step or a setting that is deprecated", "{0}", Recipe, DiagnosticSeverity.Warning, true, helpLinkUri: Help + DiagnosticIds.Deprecated + ".md");

    private static readonly Dictionary<string, DiagnosticDescriptor> ById = new[]
    {
        NotCompressible, ModelNotCreatable, StepWithoutRecipe, ForwardPassesHooks, BrokenYaml,
        UnknownKey, UnknownMethod, InvalidValue, MissingSetting,
        DuplicateKey, ContradictorySettings, ContradictorySteps, RankTooLarge,
        RankSavesNothing, GroupTooLarge, PatternMatchesNothing, UnknownModel,
        DuplicateRecipe, UnknownBaseRecipe, OverriddenLayer, PathOutsideProject,
        YamlLibraryMismatch, WithoutEffect, Deprecated,
    }.ToDictionary(descriptor => descriptor.Id, StringComparer.Ordinal);

    /// <summary>All descriptors.</summary>
    public static IReadOnlyCollection<DiagnosticDescriptor> All => ById.Values;

    /// <summary>The compiler's form of a diagnostic.</summary>
    public static Diagnostic Create(RecipeDiagnostic problem)
    {
        var descriptor = ById[problem.Id];
        return Diagnostic.Create(descriptor, LocationOf(problem.Span), SeverityOf(problem.Severity), additionalLocations: null, properties: null, OneLine(problem.Message));
    }

    /// <summary>A value may hold line ends, and a problem is one line to whoever reads a build's output.</summary>
    private static string OneLine(string message) => string.Concat(message.Select(letter => char.IsControl(letter) ? ' ' : letter));

    private static Location LocationOf(SourceSpan span) => Location.Create(
        span.Path,
        default(TextSpan),
        new(new(span.Line - 1, span.Column - 1), new(Math.Max(span.EndLine, span.Line) - 1, Math.Max(span.EndLine > span.Line ? 1 : span.Column, span.EndColumn) - 1)));

    private static DiagnosticSeverity SeverityOf(Severity severity) => severity switch
    {
        Severity.Error => DiagnosticSeverity.Error,
        Severity.Warning => DiagnosticSeverity.Warning,
        _ => DiagnosticSeverity.Info,
    };
}
