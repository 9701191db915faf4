using PipelineDsl.Runtime.Adapters;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Puts an adapter into a layer of a user's model, whose forward code stays as it is, until it is disposed; then the layer is as before.</summary>
/// <remarks>
/// Gradients reach the adapter's parameters, the layer's inputs and its bias, and none reaches the frozen weight. A linear layer's own weight has no columns meanwhile: one hook computes everything with the adapter, and
/// another adds the bias that the layer gives, as for packed weights; so a frozen weight of few bits never becomes part of the layer. A table or convolution computes with the adapter's frozen weight, and a hook adds the
/// rest. The layer keeps its own parameter objects: they only look at other numbers meanwhile, for what TorchSharp replaces it disposes. Hooks run on <c>call</c>, not on <c>forward</c>.
/// </remarks>
internal sealed class AdapterInstaller : IDisposable
{
    private readonly List<Action> undo = [];

    private AdapterInstaller()
    {
    }

    /// <summary>Puts an adapter into a layer.</summary>
    /// <param name="layer">The layer, which runs as it was made.</param>
    /// <param name="adapter">The adapter, made for <see cref="LayerOperations.Of"/> the layer; still the caller's, and must live as long as it is installed.</param>
    /// <returns>What takes it out again.</returns>
    /// <exception cref="NotSupportedException">The module has no weight that an adapter works on.</exception>
    public static AdapterInstaller Install(ModelLayer layer, Adapter adapter)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var installed = new AdapterInstaller();
        switch (layer.Module)
        {
            case Linear linear:
                installed.Show(layer.Weight, layer.Weight.new_zeros([linear.out_features, 0]));
                installed.Replace(linear, adapter);
                break;
            case Embedding table:
                installed.Show(layer.Weight, adapter.BaseWeight);
                installed.undo.Add(table.register_forward_hook((_, ids, rows) =>
                {
                    using var frozen = rows;
                    return adapter.Forward(ids, _ => rows);
                }).remove);
                break;
            case Conv2d convolution:
                installed.Show(layer.Weight, adapter.BaseWeight);
                installed.undo.Add(convolution.register_forward_hook((_, x, y) =>
                {
                    using var inner = NewDisposeScope();
                    using var frozen = y;
                    var inputs = LayerOperations.Inputs(convolution, x);
                    var adapted = adapter.IsAdditive ? adapter.Forward(inputs, _ => y)
                        : convolution.bias is null ? adapter.Forward(inputs)
                        : adapter.Forward(inputs) + convolution.bias.reshape(-1, 1, 1);
                    return adapted.MoveToOuterDisposeScope();
                }).remove);
                break;
            default:
                throw new NotSupportedException($"'{layer.Path}' has no weight that an adapter works on");
        }

        return installed;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using var noGradients = no_grad();
        foreach (var action in Enumerable.Reverse(undo))
        {
            action();
        }

        undo.Clear();
    }

    private void Replace(Linear linear, Adapter adapter)
    {
        var product = new ThreadLocal<Tensor?>();
        undo.Add(product.Dispose);
        undo.Add(linear.register_forward_pre_hook((_, x) =>
        {
            product.Value = adapter.Forward(x);
            using var constant = x.detach();
            return constant.narrow(-1, 0, 0);
        }).remove);
        undo.Add(linear.register_forward_hook((_, nothing, y) =>
        {
            var computed = product.Value!;
            product.Value = null;
            nothing.Dispose();
            using var bias = y;
            if (linear.bias is null)
            {
                return computed;
            }

            using (computed)
            {
                return computed + bias;
            }
        }).remove);
    }

    /// <summary>Lets a layer's weight look at other numbers, without gradients.</summary>
    private void Show(Parameter weight, Tensor numbers)
    {
        // An embedding makes a new handle of its weight each time it is asked.
        weight.DetachFromDisposeScope();
        bool isTrained = weight.requires_grad;
        var original = weight.detach().DetachFromDisposeScope();
        weight.requires_grad_(false);
        weight.set_(numbers.detach().to(weight.dtype, weight.device));
        undo.Add(() =>
        {
            weight.set_(original);
            weight.requires_grad_(isTrained);
            original.Dispose();
        });
    }
}
