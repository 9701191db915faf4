using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="Bat"/>.</summary>
public sealed class BatMethod : AdapterMethod<Bat>
{
    private protected override Adapter Begin(Bat step, Tensor weight, LayerOperation operation, Generator generator) =>
        new BatAdapter(weight, Zero([weight.shape[0] / step.Rank, step.Rank, step.Rank], weight));
}
