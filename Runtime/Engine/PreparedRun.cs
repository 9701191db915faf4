using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>A recipe made ready: its files are open and checked, its model stands with its weights, its plan is resolved.</summary>
internal sealed class PreparedRun : IDisposable
{
    /// <summary>The resolved plan; with a budget, open steps until it is spent.</summary>
    public required Plan Plan { get; set; }

    /// <summary>The recipe.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>The model with its original weights, in evaluation mode.</summary>
    public required nn.Module Model { get; init; }

    /// <summary>The original weights.</summary>
    public required WeightStore Weights { get; init; }

    /// <summary>Every file that goes in, by role.</summary>
    public required SortedDictionary<string, SourceFile> Sources { get; init; }

    /// <summary>The same files by full path.</summary>
    public required IReadOnlyDictionary<string, string> Paths { get; init; }

    /// <summary>The layers that get steps, with the modules they are.</summary>
    public required IReadOnlyList<(PlannedLayer Plan, ModelLayer Layer)> Layers { get; set; }

    /// <summary>SHA-256 of each of these layers' weights, by path.</summary>
    public required IReadOnlyDictionary<string, string> WeightDigests { get; init; }

    /// <summary>Tells one state of the user's code from another.</summary>
    public required string Code { get; init; }

    /// <summary>Where the model runs, and solvers that can.</summary>
    public required Device Device { get; init; }

    /// <summary>What solving may take at once.</summary>
    public required SolvingMemory Memory { get; init; }

    /// <summary>Takes over the layers' plans as a budget resolved them.</summary>
    public void Adopt(IReadOnlyDictionary<string, PlannedLayer> plans)
    {
        Layers = [.. Layers.Select(item => (plans.GetValueOrDefault(item.Plan.Path, item.Plan), item.Layer))];
        Plan = Plan with { Layers = new(Layers.Select(item => item.Plan)) };
    }

    /// <summary>Starts the key of something that comes from running the user's model on data: the code, the model, its weights, the data and what computes.</summary>
    /// <param name="kind">What is computed.</param>
    /// <param name="data">The role of the data, or of none.</param>
    /// <param name="options">Where it runs.</param>
    public ContentKey ModelKey(string kind, string data, RunOptions options) => new ContentKey(kind)
        .Add("tensors", TensorLibrary.Version)
        .Add("device", options.Device)
        .Add("code", Code)
        .Add("model", Recipe.Model)
        .Add("original", Sources[RecipeFiles.Weights].Sha256)
        .Add("data", Sources.GetValueOrDefault(data)?.Sha256 ?? "")
        .Add("tokenizer", Sources.GetValueOrDefault(RecipeFiles.Tokenizer)?.Sha256 ?? "");

    /// <summary>Bytes of a layer's bias as it is.</summary>
    public long BiasBytes(ModelLayer layer) => layer.Bias is not null && Weights.Contains(layer.BiasName) ? Weights.Info(layer.BiasName).ByteCount : 0;

    /// <summary>Bytes of all tensors of the model but weight and bias of the layers that get steps.</summary>
    public long UntouchedBytes()
    {
        var touched = Layers.SelectMany(item => new[] { item.Layer.WeightName, item.Layer.BiasName }).ToHashSet(StringComparer.Ordinal);
        return Model.state_dict().Keys.Where(name => Weights.Contains(name) && !touched.Contains(name)).Sum(name => Weights.Info(name).ByteCount);
    }

    /// <summary>Opens a data file of the recipe.</summary>
    /// <param name="role">Its role.</param>
    /// <param name="samples">The most calibration samples; 0 takes all.</param>
    /// <param name="sequenceLength">Tokens a sample, for text.</param>
    public DataSource OpenData(string role, int samples, int sequenceLength) =>
        DataSource.Open(Paths[role], Paths.GetValueOrDefault(RecipeFiles.Tokenizer), samples, sequenceLength);

    /// <inheritdoc/>
    public void Dispose()
    {
        // TorchSharp's layers dispose their weights but leave buffers, where the installed factors are, to the garbage collector.
        foreach (var buffer in Model.buffers().ToList())
        {
            buffer.Dispose();
        }

        Model.Dispose();
        Weights.Dispose();
    }
}
