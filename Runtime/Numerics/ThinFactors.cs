using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Changes of a weight that other forms are equal to, as thin factors B A.</summary>
internal static class ThinFactors
{
    /// <summary>A block that all shards of the inputs share (Bone, MiSS): A says which place in its shard an input has, and B is the block.</summary>
    /// <param name="block">[r, outputs], or [r, a divisor of the outputs], whose numbers repeat.</param>
    /// <param name="outputs">Rows of the weight.</param>
    /// <param name="inputs">Columns of the weight; the last shard may be shorter.</param>
    /// <returns>A [r, inputs] and B [outputs, r], in the block's dtype, with gradients; in the caller's dispose scope.</returns>
    public static (Tensor A, Tensor B) OfShards(Tensor block, long outputs, long inputs)
    {
        long width = block.shape[0];
        var place = eye(width, dtype: block.dtype, device: block.device).repeat(1, (inputs + width - 1) / width).narrow(1, 0, inputs);
        return (place, block.repeat(1, outputs / block.shape[1]).mT);
    }

    /// <summary>What factors have become since their start, B A − B₀ A₀ = [B, −B₀] [A; A₀], of twice the rank (PiSSA, OLoRA, CorDA).</summary>
    /// <param name="a">A [r, …].</param>
    /// <param name="b">B [outputs, r / groups, …].</param>
    /// <param name="firstA">A₀, of A's shape.</param>
    /// <param name="firstB">B₀, of B's shape.</param>
    /// <param name="groups">Groups of a convolution's channels: the join is made within each, so that it meets its own rows.</param>
    /// <returns>A [2 r, …] and B [outputs, 2 r / groups, …] in the dtypes of A and B; in the caller's dispose scope.</returns>
    public static (Tensor A, Tensor B) Since(Tensor a, Tensor b, Tensor firstA, Tensor firstB, long groups = 1)
    {
        long[] grouped = [groups, a.shape[0] / groups, .. a.shape[1..]];
        return (cat([a.reshape(grouped), firstA.to(a.dtype).reshape(grouped)], 1).flatten(0, 1), cat([b, firstB.to(b.dtype).neg()], 1));
    }
}
