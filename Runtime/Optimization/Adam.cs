using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Adam (arXiv:1412.6980): running means of gradient and squared gradient, both corrected for their start at zero. Decay is part of the gradient.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public record Adam(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the mean gradient in each step.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>What stays of the mean squared gradient in each step.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root, so that it can be divided by.</summary>
    public double Epsilon { get; init; } = 1e-8;

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        Advance(value, Pull(value, gradient), memory, rate);
    }

    /// <summary>w ← w − rate / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε), with the moments moved before.</summary>
    private protected void Advance(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        var (mean, divisor) = Moments(gradient, memory);
        value.addcdiv_(mean, divisor, -rate * Correction(memory.Steps));
    }

    /// <summary>m and √v / √(1 − β₂ᵗ) + ε after they were moved by a gradient.</summary>
    private protected (Tensor Mean, Tensor Divisor) Moments(Tensor gradient, UpdateMemory memory)
    {
        var mean = memory.Like("mean", gradient);
        var square = memory.Like("square", gradient);
        Move(mean, square, gradient);
        return (mean, Divisor(square, memory.Steps));
    }

    /// <summary>1 / (1 − β₁ᵗ).</summary>
    private protected double Correction(int steps) => 1 / (1 - Math.Pow(Beta1, steps));

    /// <summary>m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², in place.</summary>
    private protected void Move(Tensor mean, Tensor square, Tensor gradient)
    {
        mean.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        square.mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
    }

    /// <summary>√v / √(1 − β₂ᵗ) + ε.</summary>
    private protected Tensor Divisor(Tensor square, int steps) => square.sqrt().div_(Math.Sqrt(1 - Math.Pow(Beta2, steps))).add_(Epsilon);
}
