using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Momentum descent without the part of an update that only lengthens a scale-invariant weight (SGDP, arXiv:2006.08217, algorithm 1). The momentum starts at zero.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public sealed record SgdP(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the momentum in each step.</summary>
    public double Momentum { get; init; }

    /// <summary>The share of a gradient that does not go into the momentum.</summary>
    public double Dampening { get; init; }

    /// <summary>Whether a step looks ahead along the momentum.</summary>
    public bool Nesterov { get; init; }

    /// <summary>Floor of norms.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Threshold of the test for scale invariance.</summary>
    public double Delta { get; init; } = 0.1;

    /// <summary>What decay is multiplied by for scale-invariant weights.</summary>
    public double DecayRatio { get; init; } = 0.1;

    /// <summary>The official code takes the lengthening part out of the momentum itself, unless it looks ahead; the paper of the update alone.</summary>
    public Parity Parity { get; init; }

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        var momentum = memory.Like("momentum", value).mul_(Momentum).add_(gradient, alpha: 1 - Dampening);
        var view = ScaleInvariance.Find(value, gradient, Delta, Epsilon);
        var update = ScaleInvariance.Project(value, Nesterov ? gradient.add(momentum, alpha: Momentum) : momentum, view, Epsilon);
        if (Parity == Parity.Official && !Nesterov)
        {
            momentum.copy_(update);
        }

        Decay(value, rate * (view == InvariantView.None ? 1 : DecayRatio) / (1 - Momentum));
        value.add_(update, alpha: -rate);
    }
}
