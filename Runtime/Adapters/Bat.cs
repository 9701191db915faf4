using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Blocks of a linear layer's weight, each W → W (I + D) + D with one D for all blocks of the same outputs (Bat, arXiv:2409.15371). The change can have full rank.</summary>
public sealed record Bat : AdapterMethod
{
    /// <summary>The side r of a block; divides inputs and outputs.</summary>
    public int Rank { get; init; } = 64;

    private protected override Adapter Begin(Tensor weight, LayerOperation operation, Generator generator)
    {
        RequireLinear(operation);
        RequireRank(Rank, Math.Min(weight.shape[0], weight.shape[1]), "block side");
        return weight.shape[0] % Rank == 0 && weight.shape[1] % Rank == 0
            ? new BatAdapter(weight, Zero([weight.shape[0] / Rank, Rank, Rank], weight))
            : throw new ArgumentException($"block side {Rank} does not divide a layer of {weight.shape[0]} × {weight.shape[1]}; take a common divisor");
    }
}
