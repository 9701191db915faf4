using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="Bone"/>.</summary>
public sealed class BoneMethod : AdapterMethod<Bone>
{
    private protected override Adapter Begin(Bone step, Tensor weight, LayerOperation operation, Generator generator) =>
        new BoneAdapter(weight, Zero([step.Rank, step.MiniRank == 0 ? weight.shape[0] : step.MiniRank], weight));
}
