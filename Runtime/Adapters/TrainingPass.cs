using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Where training is, which alone decides what an adapter drops: a run that goes on from a checkpoint drops what it would have dropped.</summary>
/// <param name="seed">The run's seed.</param>
/// <param name="layer">The layer's path.</param>
/// <param name="step">The optimizer step.</param>
/// <param name="microBatch">The batch within the step.</param>
public sealed class TrainingPass(long seed, string layer, long step, long microBatch)
{
    private int calls;

    /// <summary>How many masks this pass has drawn; set back to draw the same ones again.</summary>
    internal int Drawn { get => calls; set => calls = value; }

    /// <summary>A mask for the next call of the layer in this pass: zeros with a probability, else 1 / (1 − probability).</summary>
    /// <param name="like">The tensor to mask.</param>
    /// <param name="probability">In [0, 1).</param>
    /// <returns>In the tensor's shape, dtype and device; drawn on the CPU, so that every device drops alike; the caller owns it.</returns>
    internal Tensor Mask(Tensor like, double probability)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var generator = new Generator(SeedOf(Interlocked.Increment(ref calls)));
        return rand(like.shape, dtype: float32, generator: generator).ge(probability).to(like.dtype, like.device).div(1 - probability).MoveToOuterDisposeScope();
    }

    private ulong SeedOf(int call)
    {
        string key = string.Create(CultureInfo.InvariantCulture, $"dropout {seed} {step} {microBatch} {call} {layer}");
        return BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(key)));
    }
}
