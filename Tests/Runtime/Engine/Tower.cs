using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Formats.Safetensors;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>A model of repeated blocks, whose paths sort in another order than the model calls them.</summary>
internal sealed class Tower : nn.Module<Tensor, Tensor>
{
    public const int Floors = 3;

    private readonly Linear way_in = nn.Linear(20, 12);
    private readonly ModuleList<Floor> floors = nn.ModuleList(Enumerable.Range(0, Floors).Select(_ => new Floor()).ToArray());
    private readonly Linear a_head = nn.Linear(12, 4);

    public Tower()
        : base(nameof(Tower)) => RegisterComponents();

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = way_in.call(input);
        for (int i = floors.Count - 1; i >= 0; i--)
        {
            x = floors[i].call(x, i == 0 ? null : input.narrow(1, 0, 1).sigmoid(), 0.5);
        }

        return a_head.call(x).MoveToOuterDisposeScope();
    }
}

/// <summary>A block of several arguments: one may be missing, one is no tensor.</summary>
internal sealed class Floor : nn.Module<Tensor, Tensor?, double, Tensor>
{
    private readonly Linear up = nn.Linear(12, 24);
    private readonly Linear down = nn.Linear(24, 12, hasBias: false);

    public Floor()
        : base(nameof(Floor)) => RegisterComponents();

    public override Tensor forward(Tensor x, Tensor? gate, double share)
    {
        using var scope = NewDisposeScope();
        var inner = nn.functional.relu(up.call(x));
        var y = down.call(gate is null ? inner : inner * gate);
        return (x + y.mul_(share)).MoveToOuterDisposeScope();
    }
}

/// <summary>A pipeline as the generator would emit it.</summary>
internal sealed class TowerPipeline(Recipe recipe) : ModelPipeline<Tower>
{
    public override Recipe Recipe { get; } = recipe;

    public override Tower CreateModel() => new();
}

/// <summary>Weights and data for <see cref="Tower"/> in a project's folder.</summary>
internal static class TowerProject
{
    public const int Rows = 96;

    private const string WeightsFile = "tower.safetensors";
    private const string DataFile = "heights.safetensors";

    public static Recipe Recipe(TwoLayersProject project, params (string Match, Step[] Steps)[] rules)
    {
        if (!File.Exists(project.In(WeightsFile)))
        {
            Write(project);
        }

        return TwoLayersProject.Recipe(rules) with
        {
            Model = typeof(Tower).FullName!,
            Weights = WeightsFile,
            Calibrate = new(DataFile, Rows, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)),
            Evaluate = new(DataFile, Metric.Accuracy, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
        };
    }

    public static Tower Original(TwoLayersProject project)
    {
        var model = new Tower();
        using var weights = WeightStore.Open(project.In(WeightsFile));
        using var noGradients = no_grad();
        foreach (var (name, tensor) in model.state_dict())
        {
            using var value = weights.Read(name);
            tensor.copy_(value);
        }

        return model;
    }

    public static Tensor Inputs() => randn(Rows, 20, generator: new Generator(5));

    private static void Write(TwoLayersProject project)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var model = new Tower().WithWeights(new Generator(11));
        SafetensorsWriter.Write(project.In(WeightsFile), model.state_dict());
        var inputs = Inputs();
        SafetensorsWriter.Write(project.In(DataFile), new Dictionary<string, Tensor> { ["input"] = inputs, ["target"] = model.call(inputs).argmax(1) });
    }
}
