using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Peft;

/// <summary>The block of MiSS, once called Bone, for a linear module.</summary>
/// <param name="Block">[r, out]; [r, mini_r] under <c>mini</c>; [out / r, r, r] under <c>bat</c>.</param>
public sealed record MissTensors(Tensor Block) : PeftTensors
{
    internal const string Suffix = ".miss_block";
    internal const string BoneSuffix = ".bone_block";

    /// <inheritdoc/>
    internal override IEnumerable<(string Suffix, Tensor Tensor)> Parts => [(Suffix, Block)];

    /// <inheritdoc/>
    internal override void Check(PeftConfig config, string module)
    {
        long rank = config.Rank;
        var (fits, expected) = config.Initialization switch
        {
            PeftConfig.BatInitialization => (Block.dim() == 3 && Block.shape[1] == rank && Block.shape[2] == rank, $"[out / {rank}, {rank}, {rank}]"),
            PeftConfig.MiniInitialization => (Block.shape.SequenceEqual([rank, config.MiniRank]), $"[{rank}, {config.MiniRank}]"),
            _ => (Block.dim() == 2 && Block.shape[0] == rank, $"[{rank}, out]"),
        };
        Require(fits, module, "the block", Block, expected);
    }

    /// <inheritdoc/>
    internal override bool Fits(PeftConfig config, IReadOnlyList<long> weight) => weight.Count == 2 && config.Initialization switch
    {
        PeftConfig.BatInitialization => weight[0] == Block.shape[0] * config.Rank && weight[1] % config.Rank == 0,
        PeftConfig.MiniInitialization => weight[0] % config.MiniRank == 0,
        _ => weight[0] == Block.shape[1],
    };
}
