using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>The layer's whole weight, trained in place of the frozen one.</summary>
/// <param name="operation">What the layer does.</param>
/// <param name="baseWeight">The weight before training.</param>
/// <param name="trained">The weight, in the layer's shape.</param>
internal sealed class FineTuneAdapter(LayerOperation operation, Tensor baseWeight, Tensor trained) : Adapter(operation, baseWeight)
{
    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => [("weight", trained)];

    /// <inheritdoc/>
    public override bool IsAdditive => false;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product) =>
        Operation.Apply(x.is_floating_point() ? x.to(trained.dtype) : x, trained).to(x.is_floating_point() ? x.dtype : BaseType);

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => trained.detach().clone();

    /// <inheritdoc/>
    private protected override Tensor Separate(Tensor merged) => BaseWeight;
}
