using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Weights;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>A layer of the user's model whose weight, and bias if asked, is set from outside and whose gradients are read, until it is disposed; then it is as before.</summary>
/// <remarks>
/// The layer's own parameter holds the value of the trained weight, and its gradient is handed on to what the value was computed from. By the chain rule that is exact,
/// and it works for sealed layers, for convolutions and tables, and for a weight that the user's code reads itself.
/// </remarks>
internal sealed class StudentLayer : IDisposable
{
    private readonly ModelLayer layer;
    private readonly TemporaryWeight original;
    private readonly Parameter? addedBias;
    private readonly Tensor? firstBias;
    private readonly Action? removeHook;
    private readonly bool trainsBias;

    /// <summary>Puts a weight into a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="weight">The weight to begin with.</param>
    /// <param name="bias">The bias to begin with, or null for the layer's own.</param>
    /// <param name="trainsBias">Whether a bias is set and its gradient read too.</param>
    public StudentLayer(ModelLayer layer, Expression weight, Tensor? bias, bool trainsBias)
    {
        this.layer = layer;
        this.trainsBias = trainsBias;
        bool adds = trainsBias && layer.Bias is null;
        // A bias that is trained is put back even where it starts as the layer's own.
        original = new(layer, weight, adds ? null : bias ?? (trainsBias ? layer.Bias : null));
        layer.Weight.requires_grad = true;
        if (adds)
        {
            using var noGradients = no_grad();
            addedBias = new Parameter((bias ?? zeros(layer.Shape!.Rows)).to(layer.Weight.dtype, layer.Weight.device, copy: true).DetachFromDisposeScope());
            removeHook = ((nn.Module<Tensor, Tensor>)layer.Module).register_forward_hook((module, _, y) => y + (module is Conv2d ? addedBias.reshape(-1, 1, 1) : addedBias)).remove;
        }
        else if (trainsBias)
        {
            layer.Bias!.requires_grad = true;
        }

        firstBias = Bias?.detach().clone().DetachFromDisposeScope();
    }

    private Parameter? Bias => trainsBias ? addedBias ?? layer.Bias : null;

    /// <summary>Sets the values and forgets the gradients; without a bias the first one stands.</summary>
    public void Put(LayerState state)
    {
        using var noGradients = no_grad();
        layer.Weight.copy_(state.Weight!.reshape(layer.Weight.shape));
        using var weightGradient = layer.Weight.grad;
        weightGradient?.zero_();
        if (Bias is { } place)
        {
            place.copy_(state.Bias ?? firstBias!);
            using var biasGradient = place.grad;
            biasGradient?.zero_();
        }
    }

    /// <summary>The gradients since <see cref="Put"/>, on the CPU; null where none arrived. The current dispose scope owns them.</summary>
    public LayerState Gradients()
    {
        long rows = layer.Weight.shape[0];
        return new(layer.Weight.grad?.to(CPU, copy: true).reshape(rows, -1), Bias?.grad?.to(CPU, copy: true));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        layer.Weight.requires_grad = false;
        if (layer.Bias is { } own)
        {
            own.requires_grad = false;
        }

        original.Dispose();
        removeHook?.Invoke();
        addedBias?.Dispose();
        firstBias?.Dispose();
    }
}
