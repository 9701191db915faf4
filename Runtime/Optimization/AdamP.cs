using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Adam without the part of an update that only lengthens a scale-invariant weight (AdamP, arXiv:2006.08217, algorithm 2). Decay beside the gradient, smaller where that part is removed.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public sealed record AdamP(double LearningRate) : Adam(LearningRate)
{
    /// <summary>Threshold of the test for scale invariance.</summary>
    public double Delta { get; init; } = 0.1;

    /// <summary>What decay is multiplied by for scale-invariant weights.</summary>
    public double DecayRatio { get; init; } = 0.1;

    /// <summary>Whether a step looks ahead along the mean.</summary>
    public bool Nesterov { get; init; }

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        var mean = memory.Like("mean", value);
        var square = memory.Like("square", value);
        Move(mean, square, gradient);
        var ahead = Nesterov ? (mean * Beta1).add_(gradient, alpha: 1 - Beta1) : mean;
        var view = ScaleInvariance.Find(value, gradient, Delta, Epsilon);
        var update = ScaleInvariance.Project(value, ahead / Divisor(square, memory.Steps), view, Epsilon);
        Decay(value, rate * (view == InvariantView.None ? 1 : DecayRatio));
        value.add_(update, alpha: -rate * Correction(memory.Steps));
    }
}
