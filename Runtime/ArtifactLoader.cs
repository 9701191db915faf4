using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime;

/// <summary>Loads artifacts into the user's own model.</summary>
public static class ArtifactLoader
{
    /// <summary>Creates the model and puts the artifact's layers in place.</summary>
    /// <typeparam name="TModel">The model.</typeparam>
    /// <param name="pipeline">The pipeline that the artifact was built by.</param>
    /// <param name="path">The artifact's folder; null takes <c>models/&lt;recipe&gt;</c> beside the application.</param>
    /// <returns>The model in evaluation mode, on the CPU; the caller owns it.</returns>
    /// <exception cref="PipelineException">PDSL3010: the artifact is missing, damaged, or made for another model or other weights.</exception>
    public static TModel Load<TModel>(ModelPipeline<TModel> pipeline, string? path)
        where TModel : nn.Module
    {
        NativeLibraries.Load();
        string folder = path ?? Path.Combine(AppContext.BaseDirectory, "models", pipeline.Recipe.Name);
        var manifest = ManifestFile.Read(folder);
        var refusal = RefusalFor(folder);
        if (manifest.Model != pipeline.Recipe.Model)
        {
            throw refusal($"it was made for model '{manifest.Model}', not for '{pipeline.Recipe.Model}'");
        }

        string weightsPath = Path.Combine(folder, ArtifactFiles.Weights);
        if (!File.Exists(weightsPath) || RecipeFiles.Digest(weightsPath) != manifest.Weights)
        {
            throw refusal($"'{ArtifactFiles.Weights}' is not the file that the manifest was written for");
        }

        var model = pipeline.CreateModel();
        try
        {
            using var weights = SafetensorsFile.Open(weightsPath);
            Fill(model, pipeline.IsOnlyLookedUp, manifest, weights, refusal);
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static void Fill(nn.Module model, Func<string, bool> isOnlyLookedUp, Manifest manifest, SafetensorsFile weights, Func<string, PipelineException> refusal)
    {
        using var noGradients = no_grad();
        CheckComplete(model.named_parameters().Select(item => item.name), manifest, refusal);
        var state = model.state_dict();
        foreach (var tensor in manifest.Kept)
        {
            if (!state.TryGetValue(tensor.Name, out var place) || !place.shape.SequenceEqual(tensor.Shape))
            {
                throw refusal($"its tensor '{tensor.Name}' [{string.Join(", ", tensor.Shape)}] has no place in the model{Found(place)}");
            }

            using var scope = NewDisposeScope();
            place.copy_(weights.Read(tensor.Name));
        }

        var layers = ModelLayer.Find(model).ToDictionary(layer => layer.Path);
        foreach (var record in manifest.Layers)
        {
            if (!layers.TryGetValue(record.Path, out var layer) || layer.Kind == LayerKinds.None || !layer.Weight.shape.SequenceEqual(record.Shape))
            {
                throw refusal($"its layer '{record.Path}' [{string.Join(", ", record.Shape)}] has no place in the model{(layer is { Kind: not LayerKinds.None } ? Found(layer.Weight) : "")}");
            }

            Install(layer, record, weights, isOnlyLookedUp(record.Path), refusal);
        }

    }

    private static void Install(ModelLayer layer, LayerRecord record, SafetensorsFile weights, bool onlyLookedUp, Func<string, PipelineException> refusal)
    {
        using var scope = NewDisposeScope();
        try
        {
            using var weight = Expression.Read(record.Weight, leaf => weights.Read(record.Path + "." + leaf));
            LayerInstaller.Install(layer, weight, record.Bias ? weights.Read(layer.BiasName) : null, onlyLookedUp);
        }
        catch (InvalidDataException damaged)
        {
            throw refusal($"layer '{record.Path}': {damaged.Message}");
        }
    }

    /// <summary>A parameter that the artifact does not speak of would keep random values.</summary>
    private static void CheckComplete(IEnumerable<string> names, Manifest manifest, Func<string, PipelineException> refusal)
    {
        var known = manifest.Kept.Select(tensor => tensor.Name)
            .Concat(manifest.Layers.Select(layer => layer.Path + ".weight"))
            .Concat(manifest.Layers.Where(layer => layer.Bias).Select(layer => layer.Path + ".bias"))
            .ToHashSet(StringComparer.Ordinal);
        if (names.FirstOrDefault(name => !known.Contains(name)) is { } unknown)
        {
            throw refusal($"it holds nothing for the model's parameter '{unknown}'");
        }
    }

    private static string Found(Tensor? place) => place is null ? "" : $", which has [{string.Join(", ", place.shape)}] there";

    private static Func<string, PipelineException> RefusalFor(string folder) => reason => new PipelineException(
        DiagnosticIds.ArtifactRefused, $"the artifact in '{folder}' does not fit: {reason}; build the project again", Path.Combine(folder, ArtifactFiles.Manifest));
}
