using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>RMSprop: a step along the gradient over the root of its running mean square. Decay is part of the gradient.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public sealed record RmsProp(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the mean squared gradient in each step.</summary>
    public double Alpha { get; init; } = 0.99;

    /// <summary>Added to the root, so that it can be divided by.</summary>
    public double Epsilon { get; init; } = 1e-8;

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        var pull = Pull(value, gradient);
        var square = memory.Like("square", value).mul_(Alpha).addcmul_(pull, pull, 1 - Alpha);
        value.addcdiv_(pull, square.sqrt().add_(Epsilon), -rate);
    }
}
