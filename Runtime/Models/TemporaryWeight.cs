using PipelineDsl.Runtime.Weights;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>A compressed weight that stands in a layer, dense where it can be, until it is disposed; then the layer is as before.</summary>
internal sealed class TemporaryWeight : IDisposable
{
    private readonly ModelLayer layer;
    private readonly Tensor original;
    private readonly Tensor? originalBias;
    private readonly Tensor? addedBias;
    private readonly Action? removeHook;
    private readonly AppliedWeight? applied;

    /// <summary>Puts a weight and, if given, a bias into a layer. The tensors are copied.</summary>
    public TemporaryWeight(ModelLayer layer, Expression weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        this.layer = layer;
        original = layer.Weight.clone().DetachFromDisposeScope();
        if (!weight.IsLinear && layer.Module is Linear linear)
        {
            layer.Weight.zero_();
            applied = new AppliedWeight(linear, weight);
        }
        else
        {
            layer.Weight.copy_(weight.Materialize().reshape(layer.Weight.shape));
        }

        if (bias is null)
        {
            return;
        }

        if (layer.Bias is { } place)
        {
            originalBias = place.clone().DetachFromDisposeScope();
            place.copy_(bias);
        }
        else
        {
            addedBias = bias.to(layer.Weight.dtype, layer.Weight.device, copy: true).DetachFromDisposeScope();
            removeHook = ((Linear)layer.Module).register_forward_hook((_, _, y) => y + addedBias).remove;
        }
    }

    /// <summary>The tensors that the model computes with meanwhile, each with what stood there before: null for a bias that the layer does not have.</summary>
    public IEnumerable<(Tensor Current, Tensor? Original)> Places
    {
        get
        {
            yield return (layer.Weight, original);
            if (originalBias is not null)
            {
                yield return (layer.Bias!, originalBias);
            }

            if (addedBias is not null)
            {
                yield return (addedBias, null);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using var noGradients = no_grad();
        layer.Weight.copy_(original);
        original.Dispose();
        if (originalBias is not null)
        {
            layer.Bias!.copy_(originalBias);
            originalBias.Dispose();
        }

        applied?.Dispose();
        removeHook?.Invoke();
        addedBias?.Dispose();
    }
}
