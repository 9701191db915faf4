using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W + the block's transpose, repeated along the inputs: the shards are summed before they meet the block.</summary>
/// <param name="baseWeight">[units, inputs].</param>
/// <param name="block">[r, units or a divisor of them].</param>
internal sealed class BoneAdapter(Tensor baseWeight, Tensor block) : Adapter(LayerOperation.Linear, baseWeight)
{
    private readonly Tensor block = block;

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => [("block", block)];

    /// <summary>Whether outputs share numbers.</summary>
    public bool IsMini => block.shape[1] != BaseShape[0];

    private long Width => block.shape[0];

    private long Inputs => BaseShape[1];

    /// <inheritdoc/>
    public override bool IsAdditive => true;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product)
    {
        var frozen = product(x);
        long missing = (Width - (Inputs % Width)) % Width;
        var padded = missing == 0 ? x : nn.functional.pad(x, [0, missing]);
        var shards = padded.to(block.dtype).reshape([.. x.shape[..^1], -1, Width]).sum(dim: -2L);
        return frozen + shards.matmul(Full()).to(frozen.dtype);
    }

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => weight + Change();

    /// <inheritdoc/>
    private protected override Tensor Separate(Tensor merged) => merged - Change();

    /// <inheritdoc/>
    private protected override LowRankDelta? LowRank()
    {
        var (a, b) = ThinFactors.OfShards(block, BaseShape[0], Inputs);
        return new(a, b, 1);
    }

    private Tensor Change() => Full().mT.repeat(1, (Inputs + Width - 1) / Width).narrow(1, 0, Inputs);

    private Tensor Full() => block.repeat(1, BaseShape[0] / block.shape[1]);
}
