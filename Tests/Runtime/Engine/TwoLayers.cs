using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>A small model as a user writes it: one sealed member, one declared by its function.</summary>
internal sealed class TwoLayers : nn.Module<Tensor, Tensor>
{
    private readonly Linear first = nn.Linear(24, 16);
    private readonly nn.Module<Tensor, Tensor> second = nn.Linear(16, 5);
    private readonly nn.Module<Tensor, Tensor> twin = nn.Linear(24, 5, hasBias: false);
    private readonly bool bypassHooks;

    public TwoLayers(bool bypassHooks = false)
        : base(nameof(TwoLayers))
    {
        this.bypassHooks = bypassHooks;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var hidden = nn.functional.relu(bypassHooks ? first.forward(input) : first.call(input));
        return (second.call(hidden) + twin.call(input)).MoveToOuterDisposeScope();
    }
}

/// <summary>A pipeline as the generator would emit it, over a recipe made in the test.</summary>
internal sealed class TwoLayersPipeline(Recipe recipe, bool bypassHooks = false) : ModelPipeline<TwoLayers>
{
    public override Recipe Recipe { get; } = recipe;

    public override TwoLayers CreateModel() => new(bypassHooks);
}

/// <summary>A project folder with weights and data for <see cref="TwoLayers"/>, and what a run needs.</summary>
internal sealed class TwoLayersProject : IDisposable
{
    public const string WeightsFile = "weights.safetensors";
    public const string DataFile = "data.safetensors";

    public TwoLayersProject()
    {
        Directory.CreateDirectory(Folder);
        using var scope = NewDisposeScope();
        var generator = new Generator(7);
        using var model = new TwoLayers().WithWeights(generator);
        SafetensorsWriter.Write(In(WeightsFile), model.state_dict());
        var mixing = randn(24, 24, generator: generator) * linspace(3, 0.05, 24);
        var input = randn(200, 24, generator: generator).matmul(mixing);
        SafetensorsWriter.Write(In(DataFile), new Dictionary<string, Tensor> { ["input"] = input, ["target"] = model.call(input).argmax(1) });
    }

    public string Folder { get; } = Path.Combine(Path.GetTempPath(), "pipelinedsl-" + Path.GetRandomFileName());

    public string In(string path) => Path.Combine(Folder, path);

    public static Recipe Recipe(params (string Match, Step[] Steps)[] rules) => new()
    {
        Name = "small",
        Model = typeof(TwoLayers).FullName!,
        Weights = WeightsFile,
        Calibrate = new(DataFile, 100, 2, Span(3), Span(3)),
        Evaluate = new(DataFile, Metric.Accuracy, 2, null, Span(4), Span(4)),
        Rules = new(rules.Select((rule, i) => new Rule(rule.Match, new(rule.Steps.Select(step => new PlacedStep(step, default, Span(10 + i)))), Span(10 + i)))),
        Span = Span(1),
        WeightsSpan = Span(2),
    };

    public static SourceSpan Span(int line) => new("small.recipe.yaml", line, 1, line, 9);

    public Run NewRun(string output = "models", string cache = "cache", bool locked = false, bool updateLock = false, CacheServer? server = null) =>
        new(this, output, cache, locked, updateLock) { Server = server };

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
