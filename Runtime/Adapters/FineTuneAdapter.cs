using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>The layer's whole weight, trained in place of the frozen one.</summary>
/// <param name="operation">What the layer does.</param>
/// <param name="baseWeight">The weight before training.</param>
/// <param name="trained">The weight, in the layer's shape.</param>
internal sealed class FineTuneAdapter(LayerOperation operation, Tensor baseWeight, Parameter trained) : Adapter(operation, baseWeight)
{
    /// <summary>The trained weight, which a layer can have as its own.</summary>
    public Parameter Trained => trained;

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => [("weight", trained)];

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product) =>
        Operation.Apply(x.is_floating_point() ? x.to(trained.dtype) : x, trained).to(x.is_floating_point() ? x.dtype : BaseType);

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => trained.detach().clone();

    /// <inheritdoc/>
    private protected override Tensor Separate(Tensor merged) => BaseWeight;
}
