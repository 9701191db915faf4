using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>One trained block that all shards of a linear layer's inputs share: Bone, in current PEFT MiSS (arXiv:2409.15371). No scaling, nothing random.</summary>
public sealed record Bone : AdapterMethod
{
    /// <summary>The width r of a shard of the inputs.</summary>
    public int Rank { get; init; } = 64;

    /// <summary>How many outputs have numbers of their own, which the others repeat; 0 for all (MiSS with <c>init_weights: mini</c>).</summary>
    public int MiniRank { get; init; }

    private protected override Adapter Begin(Tensor weight, LayerOperation operation, Generator generator)
    {
        RequireLinear(operation);
        var (units, inputs) = (weight.shape[0], weight.shape[1]);
        RequireRank(Rank, inputs, "shard width");
        if (MiniRank != 0)
        {
            RequireRank(MiniRank, units, "mini rank");
            if (units % MiniRank != 0)
            {
                throw new ArgumentException($"mini rank {MiniRank} does not divide the {units} outputs");
            }
        }

        return new BoneAdapter(weight, Zero([Rank, MiniRank == 0 ? units : MiniRank], weight));
    }
}
