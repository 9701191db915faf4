using System.Runtime.CompilerServices;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Native;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime;

/// <summary>Loads artifacts into the user's own model.</summary>
public static class ArtifactLoader
{
    private static readonly ConditionalWeakTable<nn.Module, ElasticModel> Elastic = [];

    /// <summary>Creates the model and puts the artifact's layers in place.</summary>
    /// <typeparam name="TModel">The model.</typeparam>
    /// <param name="pipeline">The pipeline that the artifact was built by.</param>
    /// <param name="path">The artifact's folder; null takes <c>models/&lt;recipe&gt;</c> beside the application.</param>
    /// <param name="maxBytes">
    /// The stored bytes of the whole model, kept tensors included, that may be used; null uses all. An artifact with stacked layers is loaded in the
    /// largest size within it. Layers run dense, so this bounds what is stored and read, not the memory of the running model.
    /// </param>
    /// <returns>The model in evaluation mode, on the CPU; the caller owns it.</returns>
    /// <exception cref="PipelineException">PDSL3010: the artifact is missing, damaged, made for another model or other weights, or too large for the budget in every size it has.</exception>
    public static TModel Load<TModel>(ModelPipeline<TModel> pipeline, string? path, long? maxBytes = null)
        where TModel : nn.Module
    {
        NativeLibraries.Load();
        var artifact = Artifact.Open(path ?? Path.Combine(AppContext.BaseDirectory, "models", pipeline.Recipe.Name), pipeline.Recipe.Model);
        int size = artifact.SizeWithin(maxBytes ?? long.MaxValue);
        var model = pipeline.CreateModel();
        try
        {
            if (artifact.Fill(model, pipeline.IsOnlyLookedUp, size) is { } elastic)
            {
                Elastic.Add(model, elastic);
            }

            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Grows or shrinks a loaded model in place to its largest size within a budget, block by block of its stacked layers.</summary>
    /// <param name="model">A model that <see cref="Load"/> returned for an artifact with stacked layers; nothing may run it meanwhile.</param>
    /// <param name="bytes">The stored bytes of the whole model, kept tensors included, that may be used.</param>
    /// <returns>The bytes that are used.</returns>
    /// <remarks>Blocks are read from the artifact again, which must still be there. A size gives the same bits whatever the model's size was before.</remarks>
    /// <exception cref="ArgumentException">The model has one size only, or was not loaded here.</exception>
    /// <exception cref="PipelineException">PDSL3010: the artifact is gone, was replaced, or is too large for the budget in every size it has; in the last case the model stays as it was.</exception>
    public static long Resize(nn.Module model, long bytes) => Elastic.TryGetValue(model, out var elastic)
        ? elastic.Resize(bytes)
        : throw new ArgumentException("only a model that was loaded from an artifact with stacked layers can be resized; give layers the step 'bitStack', build, and load the model with ArtifactLoader", nameof(model));
}
