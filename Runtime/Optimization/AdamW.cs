using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Adam with decay beside the gradient (AdamW, arXiv:1711.05101), as PyTorch orders it: decay first, by the scheduled rate.</summary>
/// <param name="LearningRate">The rate that a schedule multiplies.</param>
public record AdamW(double LearningRate) : Adam(LearningRate)
{
    /// <summary>Entries of the smallest tensor whose moments are kept in 8 bits.</summary>
    public const long SmallestEightBit = 4096;

    /// <summary>Whether the moments of large tensors are kept in 8 bits (arXiv:2110.02861): 2.03 instead of 8 bytes an entry. Each step computes with the moments before they are rounded.</summary>
    public bool EightBitState { get; init; }

    internal override void Apply(Tensor value, Tensor gradient, UpdateMemory memory, double rate)
    {
        Decay(value, rate);
        if (!EightBitState || value.numel() < SmallestEightBit)
        {
            Advance(value, gradient, memory, rate);
            return;
        }

        var g = gradient.to(float32);
        var mean = BlockwiseCodes.Signed.Read(memory, "mean", g);
        var square = BlockwiseCodes.Unsigned.Read(memory, "square", g);
        Move(mean, square, g);
        value.addcdiv_(mean.to(value.dtype), Divisor(square, memory.Steps).to(value.dtype), -rate * Correction(memory.Steps));
        BlockwiseCodes.Signed.Write(memory, "mean", mean);
        BlockwiseCodes.Unsigned.Write(memory, "square", square);
    }
}
