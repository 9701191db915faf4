using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="FineTune"/>.</summary>
public sealed class FineTuneMethod : AdapterMethod<FineTune>
{
    /// <summary>An adapter whose weight was trained already.</summary>
    /// <param name="before">The weight before [units, inputs]; shared and still the caller's.</param>
    /// <param name="weight">The weight [units, inputs], copied.</param>
    internal static Adapter Of(Expression before, Tensor weight)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var form = FrozenWeight.Of(before);
        var dense = form.Dense();
        var adapter = new FineTuneAdapter(LayerOperation.Linear, dense, weight.detach().to(TrainedType(dense), copy: true));
        adapter.Own(dense, form);
        return adapter;
    }

    private protected override Adapter Begin(FineTune step, Tensor weight, LayerOperation operation, Generator generator) =>
        new FineTuneAdapter(operation, weight, weight.to(TrainedType(weight), copy: true));
}
