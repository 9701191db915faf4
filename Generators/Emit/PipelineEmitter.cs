using PipelineDsl.Generators.Models;

namespace PipelineDsl.Generators.Emit;

/// <summary>Emits a recipe's pipeline class and its loader on the model.</summary>
internal static class PipelineEmitter
{
    /// <summary>C# 14, which has extension blocks; this compiler's library has no name for it.</summary>
    public const int ExtensionBlocks = 1400;

    public static string Emit(PipelineModel pipeline, ProjectOptions options, int languageVersion)
    {
        var code = new CodeWriter();
        string prefix = pipeline.Model.Namespace.Length == 0 ? "global::" : $"global::{pipeline.Model.Namespace}.";
        if (pipeline.Recipe is not null)
        {
            code.Line($"[assembly: global::PipelineDsl.Runtime.PipelineEntry(typeof({prefix}{pipeline.ClassName}))]").Line();
        }

        code.Namespace(pipeline.Model.Namespace);
        WritePipeline(code, pipeline, new(options, pipeline.Source));
        WriteLoader(code, pipeline, languageVersion);
        return code.ToString();
    }

    private static void WritePipeline(CodeWriter code, PipelineModel pipeline, RecipeLiterals literals)
    {
        string model = "global::" + pipeline.Model.FullName;
        code.Summary($"The recipe <c>{CodeWriter.Xml(pipeline.RecipeName)}</c> ({CodeWriter.Xml(pipeline.Source)}) with its model: what the build runs and the application loads.")
            .Line("/// <remarks>")
            .Line("/// Write a part of this class to use your own data or loss: <c>public override IEnumerable&lt;Batch&gt; CalibrationBatches(DataSource data)</c>,")
            .Line("/// <c>EvaluationBatches</c>, <c>Run</c> and <c>Loss</c> may be overridden there.")
            .Line("/// </remarks>")
            .Origin()
            .Open($"{Access(pipeline)} sealed partial class {pipeline.ClassName} : global::PipelineDsl.Runtime.ModelPipeline<{model}>")
            .Summary("The artifact's folder, beside the application.")
            .Line($"public const string ArtifactPath = {CodeWriter.Literal("models/" + pipeline.RecipeName)};")
            .Line()
            .Summary("The modules of the model, as the source shows them.")
            .Line("public static global::PipelineDsl.Models.ModelTree Modules => Written.Modules;")
            .Line()
            .Line("/// <inheritdoc/>")
            .Line($"public override global::PipelineDsl.Recipes.Recipe Recipe => {(pipeline.Recipe is null ? Broken(pipeline) : "Written.Recipe")};")
            .Line()
            .Line("/// <inheritdoc/>")
            .Line($"public override {model} CreateModel() => {(pipeline.Model.CreationProblem is null ? "new()" : Broken(pipeline))};")
            .Line()
            .Summary("Loads the model with its compressed layers in place. The caller owns it.")
            .Line($"/// <param name=\"path\">The artifact's folder, or null: <see cref=\"ArtifactPath\"/> beside the application.</param>")
            .Line("/// <param name=\"maxBytes\">The stored bytes of the whole model that may be used, or null for all; stacked layers then take as many blocks as fit.</param>")
            .Line($"public static {model} Load(string? path = null, long? maxBytes = null) => global::PipelineDsl.Runtime.ArtifactLoader.Load<{model}>(new {pipeline.ClassName}(), path, maxBytes);")
            .Close()
            .Line();
        literals.WriteData(code, pipeline);
    }

    /// <summary>Puts <c>LoadBalanced()</c> on the model: in a part of its own class, or else as an extension where the language has them.</summary>
    private static void WriteLoader(CodeWriter code, PipelineModel pipeline, int languageVersion)
    {
        var model = pipeline.Model;
        foreach (string taken in model.LoadMembers)
        {
            if (taken == pipeline.LoadName)
            {
                return;
            }
        }

        if (model.IsPartial)
        {
            code.Line();
            foreach (var header in model.Headers)
            {
                code.Open($"partial {header.Keyword} {header.Name}");
            }

            WriteLoadMethod(code, pipeline);
            foreach (var _ in model.Headers)
            {
                code.Close();
            }
        }
        else if (languageVersion >= ExtensionBlocks)
        {
            code.Line()
                .Summary($"Loads <c>{CodeWriter.Xml(model.Name)}</c> as the recipe <c>{CodeWriter.Xml(pipeline.RecipeName)}</c> made it.")
                .Origin()
                .Open($"{Access(pipeline)} static class {pipeline.ClassName}Extensions")
                .Summary("The loader, as a static member of the model.")
                .Open($"extension(global::{model.FullName})");
            WriteLoadMethod(code, pipeline);
            code.Close().Close();
        }
    }

    private static void WriteLoadMethod(CodeWriter code, PipelineModel pipeline)
    {
        string prefix = pipeline.Model.Namespace.Length == 0 ? "global::" : $"global::{pipeline.Model.Namespace}.";
        code.Summary($"Loads the model as the recipe <c>{CodeWriter.Xml(pipeline.RecipeName)}</c> made it, compressed layers in place. The caller owns it.")
            .Line("/// <param name=\"path\">The artifact's folder, or null: the one beside the application.</param>")
            .Line("/// <param name=\"maxBytes\">The stored bytes of the whole model that may be used, or null for all; stacked layers then take as many blocks as fit.</param>");
        if (pipeline.Model.IsPartial)
        {
            code.Origin();
        }

        code.Line($"public static global::{pipeline.Model.FullName} {pipeline.LoadName}(string? path = null, long? maxBytes = null) => {prefix}{pipeline.ClassName}.Load(path, maxBytes);");
    }

    private static string Access(PipelineModel pipeline) => pipeline.Model.IsPublic ? "public" : "internal";

    private static string Broken(PipelineModel pipeline) =>
        $"throw new global::System.InvalidOperationException({CodeWriter.Literal($"The recipe '{pipeline.RecipeName}' has errors; the build names them.")})";
}
