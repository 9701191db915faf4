using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Safetensors;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>A small model with tables and convolutions: pictures whose pixels are ids of colours.</summary>
internal sealed class Pixels : nn.Module<Tensor, Tensor>
{
    public const int Colours = 40;

    private readonly Embedding colours = nn.Embedding(Colours, 10);
    private readonly Conv2d edges = nn.Conv2d(10, 12, (3, 3), stride: (2, 2), padding: (1, 1), bias: false);
    private readonly Conv2d parts = nn.Conv2d(12, 16, (3, 3), padding: (2, 2), dilation: (2, 2));
    private readonly Linear head = nn.Linear(16, 10);
    private readonly bool tied;

    public Pixels(bool tied = false)
        : base(nameof(Pixels))
    {
        this.tied = tied;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = colours.call(input).permute(0, 3, 1, 2);
        x = parts.call(nn.functional.relu(edges.call(x)));
        var scores = head.call(nn.functional.relu(x).mean([2, 3]));
        return (tied ? scores.matmul(colours.weight!.mT) : scores).MoveToOuterDisposeScope();
    }
}

/// <summary>A pipeline as the generator would emit it, with the user's own part.</summary>
internal sealed class PixelsPipeline(Recipe recipe, bool tied = false) : ModelPipeline<Pixels>
{
    public override Recipe Recipe { get; } = recipe;

    public override Pixels CreateModel() => new(tied);

    public override bool IsOnlyLookedUp(string table) => !tied;
}

/// <summary>Weights and data for <see cref="Pixels"/> in a project's folder.</summary>
internal static class PixelsProject
{
    private const string WeightsFile = "pixels.safetensors";
    private const string DataFile = "pictures.safetensors";

    public static Recipe Recipe(TwoLayersProject project, params (string Match, Step[] Steps)[] rules)
    {
        if (!File.Exists(project.In(WeightsFile)))
        {
            Write(project);
        }

        return TwoLayersProject.Recipe(rules) with
        {
            Model = typeof(Pixels).FullName!,
            Weights = WeightsFile,
            Calibrate = new(DataFile, 60, 2, TwoLayersProject.Span(3), TwoLayersProject.Span(3)),
            Evaluate = new(DataFile, Metric.Accuracy, 2, null, TwoLayersProject.Span(4), TwoLayersProject.Span(4)),
        };
    }

    public static Tensor Pictures() => (rand([80, 9, 8], generator: new Generator(5)).square() * Pixels.Colours).to(int64);

    private static void Write(TwoLayersProject project)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var model = new Pixels().WithWeights(new Generator(11));
        SafetensorsWriter.Write(project.In(WeightsFile), model.state_dict());
        var pictures = Pictures();
        SafetensorsWriter.Write(project.In(DataFile), new Dictionary<string, Tensor> { ["input"] = pictures, ["target"] = model.call(pictures).argmax(1) });
    }
}
