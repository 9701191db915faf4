using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>How a gradient moves a tensor.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public abstract record UpdateRule(double LearningRate)
{
    /// <summary>Decay λ; each rule says how it acts.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Moves a tensor in place by one step.</summary>
    /// <param name="value">The tensor.</param>
    /// <param name="gradient">Its gradient, of the same shape; stays as it is.</param>
    /// <param name="memory">What this tensor's steps so far left; of this rule's making.</param>
    /// <param name="rate">The learning rate of this step.</param>
    /// <remarks>Called inside a dispose scope, without gradients.</remarks>
    internal abstract void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate);

    /// <summary>g + λ w: decay as part of the gradient.</summary>
    private protected Tensor Pull(Tensor value, Tensor gradient) => WeightDecay == 0 ? gradient : gradient.add(value, alpha: WeightDecay);

    /// <summary>w ← w (1 − rate · λ): decay beside the gradient.</summary>
    private protected void Decay(Tensor value, double rate)
    {
        if (WeightDecay != 0)
        {
            value.mul_(1 - (rate * WeightDecay));
        }
    }
}
