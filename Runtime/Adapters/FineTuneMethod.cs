using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="FineTune"/>.</summary>
public sealed class FineTuneMethod : AdapterMethod<FineTune>
{
    private protected override Adapter Begin(FineTune step, Tensor weight, LayerOperation operation, Generator generator) =>
        new FineTuneAdapter(operation, weight, weight.to(TrainedType(weight), copy: true));
}
