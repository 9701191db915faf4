using PipelineDsl.Recipes;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>A module inside a model, with its path as weights name it.</summary>
/// <param name="Path">The path from the model.</param>
/// <param name="Module">The module, owned by the model.</param>
public sealed record ModelLayer(string Path, nn.Module Module)
{
    /// <summary>Every module of a model, in the order the model registers them.</summary>
    public static IReadOnlyList<ModelLayer> Find(nn.Module model) => [.. model.named_modules().Select(item => new ModelLayer(item.name, item.module))];

    /// <summary>What the module is to a step.</summary>
    public LayerKinds Kind => Module switch
    {
        Linear => LayerKinds.Linear,
        Embedding => LayerKinds.Embedding,
        Conv2d => LayerKinds.Conv2d,
        _ => LayerKinds.None,
    };

    /// <summary>The name of the weight tensor.</summary>
    public string WeightName => Path + ".weight";

    /// <summary>The name of the bias tensor.</summary>
    public string BiasName => Path + ".bias";

    /// <summary>The weight, owned by the module.</summary>
    /// <exception cref="InvalidOperationException">The module has no weight that a step works on.</exception>
    public Parameter Weight => Module switch
    {
        Linear linear => linear.weight!,
        Embedding embedding => embedding.weight!,
        Conv2d convolution => convolution.weight!,
        _ => throw new InvalidOperationException($"'{Path}' has no weight that a step works on"),
    };

    /// <summary>The bias, owned by the module, or null.</summary>
    public Parameter? Bias => Module switch
    {
        Linear linear => linear.bias,
        Conv2d convolution => convolution.bias,
        _ => null,
    };

    /// <summary>The weight seen as a matrix, or null for a module without one.</summary>
    public LayerShape? Shape => Kind == LayerKinds.None ? null : ShapeOf(Weight.shape);

    /// <summary>The module as the recipe's rules see it.</summary>
    public LayerCandidate ToCandidate() => new(Path, Module.GetType().Name, Kind, Shape);

    private LayerShape ShapeOf(long[] weight) => new(Kind, weight[0], weight.Skip(1).Aggregate(1L, (columns, size) => columns * size))
    {
        Kernel = Module is Conv2d convolution ? new(weight[2], weight[3], convolution.groups) : null,
    };
}
