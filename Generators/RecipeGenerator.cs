using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using PipelineDsl.Diagnostics;
using PipelineDsl.Generators.Diagnostics;
using PipelineDsl.Generators.Emit;
using PipelineDsl.Generators.Models;
using PipelineDsl.Generators.Pipeline;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Parsing;

namespace PipelineDsl.Generators;

/// <summary>Checks the recipes of a project, in attributes and YAML, and emits a typed pipeline for each.</summary>
[Generator(LanguageNames.CSharp)]
public sealed class RecipeGenerator : IIncrementalGenerator
{
    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        var options = context.AnalyzerConfigOptionsProvider
            .Select(static (provider, _) => ProjectOptions.Read(provider.GlobalOptions))
            .WithTrackingName(PipelineStepNames.ProjectOptions);
        var language = context.ParseOptionsProvider
            .Select(static (parse, _) => parse is CSharpParseOptions csharp ? (int)csharp.LanguageVersion : 0)
            .WithTrackingName(PipelineStepNames.LanguageFacts);
        var project = YamlRecipes(context).Collect()
            .Combine(AttributeRecipes(context).Collect())
            .Combine(ModuleClasses(context).Collect())
            .Combine(options)
            .Select(static (found, cancellation) =>
            {
                var (((yaml, attributes), classes), settings) = found;
                return ProjectBinder.Bind(yaml, attributes, classes, settings, cancellation);
            })
            .WithTrackingName(PipelineStepNames.BoundProject);

        var diagnostics = project.SelectMany(static (bound, _) => bound.Diagnostics).WithTrackingName(PipelineStepNames.Diagnostics);
        context.RegisterSourceOutput(diagnostics, static (output, problem) => output.ReportDiagnostic(DiagnosticDescriptors.Create(problem)));

        context.RegisterSourceOutput(Strays(context), static (output, problem) => output.ReportDiagnostic(DiagnosticDescriptors.Create(problem)));

        var pipelines = project.SelectMany(static (bound, _) => bound.Pipelines).Combine(options).Combine(language).WithTrackingName(PipelineStepNames.Pipelines);
        context.RegisterSourceOutput(pipelines, static (output, item) =>
        {
            var ((pipeline, settings), version) = item;
            output.AddSource(HintName(pipeline.Model, pipeline.ClassName), PipelineEmitter.Emit(pipeline, settings, version));
        });

        var layers = project.SelectMany(static (bound, _) => bound.Layers).WithTrackingName(PipelineStepNames.LayerNames);
        context.RegisterSourceOutput(layers, static (output, model) => output.AddSource(HintName(model.Model, model.ClassName), LayerNamesEmitter.Emit(model)));
    }

    private static IncrementalValuesProvider<ParsedRecipe> YamlRecipes(IncrementalGeneratorInitializationContext context) => context.AdditionalTextsProvider
        .Combine(context.AnalyzerConfigOptionsProvider)
        .Where(static item => RecipeFile.IsMarked(item.Right, item.Left))
        .Select(static (item, _) => item.Left)
        .Select(static (file, cancellation) => RecipeParser.Parse(file.GetText(cancellation)?.ToString() ?? "", file.Path))
        .WithTrackingName(PipelineStepNames.YamlRecipes);

    private static IncrementalValuesProvider<AttributeRecipe> AttributeRecipes(IncrementalGeneratorInitializationContext context) => context.SyntaxProvider
        .ForAttributeWithMetadataName("PipelineDsl.RecipeAttribute", static (node, _) => node is TypeDeclarationSyntax, AttributeRecipeReader.Read)
        .WithTrackingName(PipelineStepNames.AttributeRecipes);

    private static IncrementalValuesProvider<ModuleClass> ModuleClasses(IncrementalGeneratorInitializationContext context) => context.SyntaxProvider
        .CreateSyntaxProvider(static (node, _) => ModuleClassReader.MayBeModule(node), new ModuleClassMemory().Read)
        .Where(static type => type is not null)
        .Select(static (type, _) => type!)
        .WithTrackingName(PipelineStepNames.ModuleClasses);

    /// <summary>Words that stand where no recipe reads them.</summary>
    private static IncrementalValuesProvider<RecipeDiagnostic> Strays(IncrementalGeneratorInitializationContext context) => context.SyntaxProvider
        .CreateSyntaxProvider(static (node, _) => StrayWords.MayBeWord(node), StrayWords.Read)
        .Where(static problem => problem is not null)
        .Select(static (problem, _) => problem!)
        .WithTrackingName(PipelineStepNames.StrayWords);

    private static string HintName(ModuleClass model, string type) => (model.Namespace.Length == 0 ? "" : model.Namespace + ".") + type + ".g.cs";
}
