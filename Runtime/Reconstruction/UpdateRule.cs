using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>How a gradient moves a tensor, with PyTorch's formulas.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public abstract record UpdateRule(double LearningRate)
{
    /// <summary>Decay λ, added to the gradient as λ · value.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Moves a tensor in place by one step.</summary>
    /// <param name="value">The tensor.</param>
    /// <param name="gradient">Its gradient, decay included.</param>
    /// <param name="memory">What this tensor's steps so far left; of this rule's making.</param>
    /// <param name="rate">The learning rate of this step.</param>
    internal abstract void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate);
}

/// <summary>Adam (arXiv:1412.6980): running means of gradient and squared gradient, both corrected for their start at zero.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public sealed record Adam(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the mean gradient in each step.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>What stays of the mean squared gradient in each step.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root, so that it can be divided by.</summary>
    public double Epsilon { get; init; } = 1e-8;

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        memory.Steps++;
        memory.Mean.mul_(Beta1).add_(gradient, alpha: 1 - Beta1);
        memory.Square.mul_(Beta2).addcmul_(gradient, gradient, 1 - Beta2);
        double root = Math.Sqrt(1 - Math.Pow(Beta2, memory.Steps));
        var divisor = (memory.Square.sqrt() / root).add_(Epsilon);
        value.addcdiv_(memory.Mean, divisor, -rate / (1 - Math.Pow(Beta1, memory.Steps)));
    }
}

/// <summary>RMSprop: a step along the gradient over the root of its running mean square.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public sealed record RmsProp(double LearningRate) : UpdateRule(LearningRate)
{
    /// <summary>What stays of the mean squared gradient in each step.</summary>
    public double Alpha { get; init; } = 0.99;

    /// <summary>Added to the root, so that it can be divided by.</summary>
    public double Epsilon { get; init; } = 1e-8;

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        memory.Steps++;
        memory.Square.mul_(Alpha).addcmul_(gradient, gradient, 1 - Alpha);
        value.addcdiv_(gradient, memory.Square.sqrt().add_(Epsilon), -rate);
    }
}

/// <summary>What the steps of one tensor leave for the next.</summary>
internal sealed class UpdateMemory(Tensor value) : IDisposable
{
    /// <summary>Steps so far.</summary>
    public int Steps { get; set; }

    /// <summary>Running mean of the gradient.</summary>
    public Tensor Mean { get; } = zeros_like(value, requires_grad: false).DetachFromDisposeScope();

    /// <summary>Running mean of the squared gradient.</summary>
    public Tensor Square { get; } = zeros_like(value, requires_grad: false).DetachFromDisposeScope();

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        Square.Dispose();
    }
}
