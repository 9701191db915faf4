using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Formats.Safetensors;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>Thirty layers of one width, one after the other.</summary>
internal sealed class LayerStack : nn.Module<Tensor, Tensor>
{
    public const int Count = 30;

    private readonly ModuleList<Linear> layers;

    public LayerStack(int width)
        : base(nameof(LayerStack))
    {
        layers = nn.ModuleList(Enumerable.Range(0, Count).Select(_ => nn.Linear(width, width)).ToArray());
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = input;
        foreach (var layer in layers)
        {
            x = nn.functional.relu(layer.call(x));
        }

        return x.MoveToOuterDisposeScope();
    }
}

/// <summary>A pipeline as the generator would emit it, with a rule for each layer.</summary>
/// <param name="width">The width of the layers.</param>
/// <param name="step">Each layer's step.</param>
internal sealed class LayerStackPipeline(int width, Func<int, Step> step) : ModelPipeline<LayerStack>
{
    private const string WeightsFile = "stack.safetensors";

    /// <summary>Decomposes all layers.</summary>
    /// <param name="width">The width of the layers.</param>
    /// <param name="rank">The rank of all layers but one.</param>
    /// <param name="changed">The layer that has half the rank, or -1.</param>
    public LayerStackPipeline(int width, int rank, int changed = -1)
        : this(width, layer => new Decompose { Rank = layer == changed ? rank / 2 : rank })
    {
    }

    public override Recipe Recipe { get; } = new()
    {
        Name = "stack",
        Model = typeof(LayerStack).FullName!,
        Weights = WeightsFile,
        WeightsSpan = Span(1),
        Rules = new(Enumerable.Range(0, LayerStack.Count).Select(layer => new Rule(
            $"layers.{layer}", new([new PlacedStep(step(layer), default, Span(10 + layer))]), Span(10 + layer)))),
        Span = Span(1),
    };

    public override LayerStack CreateModel() => new(width);

    /// <summary>Writes weights to a project's folder.</summary>
    public void WriteWeights(string folder)
    {
        using var model = CreateModel().WithWeights(new Generator(3));
        SafetensorsWriter.Write(Path.Combine(folder, WeightsFile), model.state_dict());
    }

    private static SourceSpan Span(int line) => new("stack.recipe.yaml", line, 1, line, 9);
}
