using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Artifacts;

/// <summary>An artifact's folder, opened for a model and not trusted: whatever does not fit is PDSL3010.</summary>
internal sealed class Artifact
{
    private readonly string folder;
    private readonly Manifest manifest;
    private (long Length, DateTime Written)? verified;

    private Artifact(string folder)
    {
        this.folder = folder;
        manifest = ManifestFile.Read(folder);
    }

    /// <summary>Opens an artifact.</summary>
    /// <param name="folder">Its folder.</param>
    /// <param name="model">The full name of the model's class.</param>
    public static Artifact Open(string folder, string model)
    {
        var artifact = new Artifact(folder);
        string? problem = artifact.manifest.Model != model
            ? $"it was made for model '{artifact.manifest.Model}', not for '{model}'"
            : artifact.manifest.Elastic?.FindProblem(artifact.manifest);
        return problem is null ? artifact : throw artifact.Refusal(problem);
    }

    /// <summary>The largest size within a budget, as an index into the table of sizes; an artifact without stacks has one size.</summary>
    public int SizeWithin(long budget)
    {
        var sizes = manifest.Elastic ?? ElasticRecord.Of([], [], manifest.Bytes.After);
        return sizes.Within(budget) ?? throw new PipelineException(
            DiagnosticIds.ArtifactRefused,
            string.Create(CultureInfo.InvariantCulture, $"the artifact in '{folder}' takes at least {sizes.Bytes[0]} bytes and {budget} are allowed; allow {sizes.Bytes[0]}, or build a smaller one"),
            ManifestPath);
    }

    /// <summary>Opens the weights; they are hashed when they are not the file that was hashed last.</summary>
    public SafetensorsFile OpenWeights()
    {
        var file = new FileInfo(Path.Combine(folder, ArtifactFiles.Weights));
        if (!file.Exists || (verified != (file.Length, file.LastWriteTimeUtc) && RecipeFiles.Digest(file.FullName) != manifest.Weights))
        {
            throw Refusal($"'{ArtifactFiles.Weights}' is not the file that the manifest was written for");
        }

        verified = (file.Length, file.LastWriteTimeUtc);
        return SafetensorsFile.Open(file.FullName);
    }

    /// <summary>Puts everything into a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="isOnlyLookedUp">Whether the model uses a table through <c>call</c> alone.</param>
    /// <param name="size">An index into the table of sizes.</param>
    /// <returns>The model's stacked layers, or null when it has none.</returns>
    public ElasticModel? Fill(nn.Module model, Func<string, bool> isOnlyLookedUp, int size)
    {
        using var weights = OpenWeights();
        using var noGradients = no_grad();
        CheckComplete(model.named_parameters().Select(item => item.name));
        FillKept(model, weights);
        var layers = ModelLayer.Find(model).ToDictionary(layer => layer.Path);
        var stacks = manifest.Elastic?.Layers.Select(layer => layer.Path).ToHashSet(StringComparer.Ordinal) ?? [];
        foreach (var record in manifest.Layers)
        {
            if (!layers.TryGetValue(record.Path, out var layer) || layer.Kind == LayerKinds.None || !layer.Weight.shape.SequenceEqual(record.Shape))
            {
                throw Refusal($"its layer '{record.Path}' [{string.Join(", ", record.Shape)}] has no place in the model{(layer is { Kind: not LayerKinds.None } ? Found(layer.Weight) : "")}");
            }

            if (!stacks.Contains(record.Path))
            {
                Read(record, null, weights, weight => LayerInstaller.Install(layer, weight, record.Bias ? weights.Read(layer.BiasName) : null, isOnlyLookedUp(record.Path), packed: true));
            }
        }

        if (manifest.Elastic is not { } sizes)
        {
            return null;
        }

        var records = manifest.Layers.ToDictionary(record => record.Path);
        var elastic = new ElasticModel(this, sizes, [.. sizes.Layers.Select(layer => (layers[layer.Path], records[layer.Path]))]);
        elastic.Put(size, weights);
        return elastic;
    }

    /// <summary>Reads a layer's weight and uses it.</summary>
    /// <param name="record">The layer.</param>
    /// <param name="blocks">How many blocks of a stack, or null for the whole weight.</param>
    /// <param name="weights">The weights file.</param>
    /// <param name="use">Gets the expression, which is disposed afterwards.</param>
    public void Read(LayerRecord record, int? blocks, SafetensorsFile weights, Action<Expression> use)
    {
        using var scope = NewDisposeScope();
        try
        {
            Tensor Leaf(string name) => weights.Read(record.Path + "." + name);
            using var weight = blocks is { } count ? Stack.Read(record.Weight, count, Leaf) : Expression.Read(record.Weight, Leaf);
            use(weight);
        }
        catch (InvalidDataException damaged)
        {
            throw Refusal($"layer '{record.Path}': {damaged.Message}");
        }
    }

    private string ManifestPath => Path.Combine(folder, ArtifactFiles.Manifest);

    private void FillKept(nn.Module model, SafetensorsFile weights)
    {
        var state = model.state_dict();
        foreach (var tensor in manifest.Kept)
        {
            if (!state.TryGetValue(tensor.Name, out var place) || !place.shape.SequenceEqual(tensor.Shape))
            {
                throw Refusal($"its tensor '{tensor.Name}' [{string.Join(", ", tensor.Shape)}] has no place in the model{Found(place)}");
            }

            using var scope = NewDisposeScope();
            place.copy_(weights.Read(tensor.Name));
        }
    }

    /// <summary>A parameter that the artifact does not speak of would keep random values.</summary>
    private void CheckComplete(IEnumerable<string> names)
    {
        var known = manifest.Kept.Select(tensor => tensor.Name)
            .Concat(manifest.Layers.Select(layer => layer.Path + ".weight"))
            .Concat(manifest.Layers.Where(layer => layer.Bias).Select(layer => layer.Path + ".bias"))
            .ToHashSet(StringComparer.Ordinal);
        if (names.FirstOrDefault(name => !known.Contains(name)) is { } unknown)
        {
            throw Refusal($"it holds nothing for the model's parameter '{unknown}'");
        }
    }

    private static string Found(Tensor? place) => place is null ? "" : $", which has [{string.Join(", ", place.shape)}] there";

    private PipelineException Refusal(string reason) =>
        new(DiagnosticIds.ArtifactRefused, $"the artifact in '{folder}' does not fit: {reason}; build the project again", ManifestPath);
}
