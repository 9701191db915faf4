using PipelineDsl.Recipes;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Vision;

/// <summary>The 20-layer residual network for CIFAR-10 (He et al. 2016, shortcut A), as a user writes it.</summary>
internal sealed class ResNet20 : nn.Module<Tensor, Tensor>
{
    private readonly Conv2d conv1 = nn.Conv2d(3, 16, 3, padding: 1, bias: false);
    private readonly BatchNorm2d bn1 = nn.BatchNorm2d(16);
    private readonly Sequential layer1 = Stage(16, 16, 1);
    private readonly Sequential layer2 = Stage(16, 32, 2);
    private readonly Sequential layer3 = Stage(32, 64, 2);
    private readonly Linear linear = nn.Linear(64, 10);

    public ResNet20()
        : base(nameof(ResNet20)) => RegisterComponents();

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = nn.functional.relu(bn1.call(conv1.call(input)));
        x = layer3.call(layer2.call(layer1.call(x)));
        return linear.call(x.mean([2, 3])).MoveToOuterDisposeScope();
    }

    private static Sequential Stage(long before, long planes, long stride) => nn.Sequential(
        ("0", new BasicBlock(before, planes, stride)),
        ("1", new BasicBlock(planes, planes, 1)),
        ("2", new BasicBlock(planes, planes, 1)));
}

/// <summary>Two 3 × 3 convolutions beside a shortcut without parameters.</summary>
internal sealed class BasicBlock : nn.Module<Tensor, Tensor>
{
    private readonly Conv2d conv1;
    private readonly BatchNorm2d bn1;
    private readonly Conv2d conv2;
    private readonly BatchNorm2d bn2;
    private readonly long stride;
    private readonly long added;

    public BasicBlock(long before, long planes, long stride)
        : base(nameof(BasicBlock))
    {
        this.stride = stride;
        added = planes - before;
        conv1 = nn.Conv2d(before, planes, 3, stride: stride, padding: 1, bias: false);
        bn1 = nn.BatchNorm2d(planes);
        conv2 = nn.Conv2d(planes, planes, 3, padding: 1, bias: false);
        bn2 = nn.BatchNorm2d(planes);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var x = nn.functional.relu(bn1.call(conv1.call(input)));
        x = bn2.call(conv2.call(x));
        return nn.functional.relu(x + Shortcut(input)).MoveToOuterDisposeScope();
    }

    /// <summary>Every second pixel, with channels of zeros on both sides.</summary>
    private Tensor Shortcut(Tensor input) => added == 0
        ? input
        : nn.functional.pad(input[TensorIndex.Colon, TensorIndex.Colon, TensorIndex.Slice(step: stride), TensorIndex.Slice(step: stride)], [0, 0, 0, 0, added / 2, added / 2]);
}

/// <summary>What the generator would emit.</summary>
internal sealed class ResNet20Pipeline(Recipe recipe) : ModelPipeline<ResNet20>
{
    public override Recipe Recipe { get; } = recipe;

    public override ResNet20 CreateModel() => new();
}
