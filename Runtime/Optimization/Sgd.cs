using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Gradient descent, with momentum on request, as PyTorch defines it: the first step's momentum is the gradient itself. Decay is part of the gradient.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public sealed record Sgd(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the momentum in each step.</summary>
    public double Momentum { get; init; }

    /// <summary>The share of a gradient that does not go into the momentum.</summary>
    public double Dampening { get; init; }

    /// <summary>Whether a step looks ahead along the momentum.</summary>
    public bool Nesterov { get; init; }

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        var pull = Pull(value, gradient);
        if (Momentum == 0)
        {
            value.add_(pull, alpha: -rate);
            return;
        }

        bool first = !memory.Has("momentum");
        var momentum = memory.Get("momentum", () => pull.clone());
        if (!first)
        {
            momentum.mul_(Momentum).add_(pull, alpha: 1 - Dampening);
        }

        value.add_(Nesterov ? pull.add(momentum, alpha: Momentum) : momentum, alpha: -rate);
    }
}
