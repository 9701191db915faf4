using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>The tensors that stand in one layer, or their gradients.</summary>
/// <param name="Weight">[rows, columns]; null only for a gradient that there is none of.</param>
/// <param name="Bias">[rows], or null where the layer's own stays.</param>
internal readonly record struct LayerState(Tensor? Weight, Tensor? Bias);

/// <summary>A weight as it would be stored.</summary>
/// <param name="Weight">The weight.</param>
/// <param name="Bias">The bias [rows] float32, or null where the layer's own stays.</param>
internal sealed record HardWeight(Expression Weight, Tensor? Bias) : IDisposable
{
    /// <summary>What a trainable weight would be stored as now; the caller owns it.</summary>
    public static HardWeight Of(TrainableWeight weight) => new(weight.Harden(), weight.Bias?.detach().to(float32, copy: true).DetachFromDisposeScope());

    /// <summary>The same as tensors; the current dispose scope owns the weight.</summary>
    public LayerState State => new(Weight.Materialize(), Bias);

    /// <inheritdoc/>
    public void Dispose()
    {
        Weight.Dispose();
        Bias?.Dispose();
    }
}
