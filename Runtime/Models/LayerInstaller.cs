using PipelineDsl.Runtime.Execution;
using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Puts compressed weights into a user's model, whose forward code stays as it is.</summary>
/// <remarks>
/// TorchSharp's layers are sealed, so a layer keeps its own object. A dense result becomes its weight. In a
/// product, the left factor becomes the weight and a hook multiplies by the right factor first. In a sum, the dense part is
/// the weight and a hook adds the products. Factors are buffers of the layer that follow its inputs to their device. Where matrices of few bits stay packed, the layer's weight
/// has no columns, one hook computes the product with the packed form, which is a part of the layer, and another adds the bias that the layer gives. A low-rank table runs dense unless it is
/// known that the model only looks rows up: a tied output layer reads the weight itself. Then the narrow rows become its weight and a
/// hook widens what was looked up. Hooks run on <c>call</c>, not on <c>forward</c>.
/// </remarks>
internal static class LayerInstaller
{
    /// <summary>Puts a weight and, if given, a bias into a layer. The tensors are copied; the expression stays the caller's.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="weight">The new weight, [rows, columns] of the layer.</param>
    /// <param name="bias">The new bias [rows], or null to leave the old one.</param>
    /// <param name="onlyLookedUp">Whether the model uses a table through <c>call</c> alone; no matter for other layers.</param>
    /// <param name="packed">Whether matrices of few bits stay packed in linear layers where that pays; the layer can be installed once then.</param>
    public static void Install(ModelLayer layer, Expression weight, Tensor? bias, bool onlyLookedUp, bool packed = false)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var device = layer.Weight.device;
        switch (layer.Module)
        {
            case Linear linear:
                if (packed && RunnerFactory.Pays(weight))
                {
                    LayerInput.Watch(linear);
                    InstallRunner(linear, RunnerFactory.Make(weight, packed: true));
                }
                else if (weight.IsLinear)
                {
                    InstallLinear(linear, RunnableForm.Of(weight), device);
                }
                else
                {
                    LayerInput.Watch(linear);
                    linear.weight!.zero_();
                    _ = new AppliedWeight(linear, weight);
                }

                if (bias is not null)
                {
                    InstallBias(linear, bias.to(device));
                }

                break;
            case Conv2d convolution:
                ConvolutionInstaller.Install(convolution, weight, bias);
                break;
            case Embedding table when onlyLookedUp:
                InstallTable(table, weight);
                break;
            default:
                layer.Weight.copy_(weight.Materialize());
                break;
        }
    }

    private static void InstallTable(Embedding table, Expression weight)
    {
        var (factored, mean) = weight is Shifted shifted ? (shifted.Inner, shifted.Row) : (weight, null);
        var before = table.weight!;
        if (factored is not Product factors || factors.Left.Columns >= factors.Columns)
        {
            before.copy_(weight.Materialize());
            return;
        }

        table.register_buffer("widen", Own(factors.Right.Materialize().mT.to(before.dtype, before.device)));
        if (mean is not null)
        {
            table.register_buffer("mean", Own(mean.to(before.dtype, before.device)));
        }

        var widen = new SideBuffer("widen");
        var shift = mean is null ? null : new SideBuffer("mean");
        table.weight = new Parameter(Own(factors.Left.Materialize().to(before.dtype, before.device)), requires_grad: false);
        before.Dispose();
        table.register_forward_hook((module, _, rows) => nn.functional.linear(rows, widen.For(module, rows), shift?.For(module, rows)));
    }

    private static void InstallLinear(Linear linear, RunnableForm form, Device device)
    {
        if (form.Products.Count > 0)
        {
            LayerInput.Watch(linear);
        }

        if (form.Dense is null && form.Products.Count == 1)
        {
            SetWeight(linear, form.Products[0].Left.to(device));
            linear.register_buffer("right", Own(form.Products[0].Right.to(device)));
            var factor = new SideBuffer("right");
            linear.register_forward_pre_hook((module, x) => nn.functional.linear(x, factor.For(module, x)));
            return;
        }

        SetWeight(linear, (form.Dense ?? zeros(linear.out_features, linear.in_features)).to(device));
        for (int i = 0; i < form.Products.Count; i++)
        {
            string left = $"left_{i}";
            string right = $"right_{i}";
            linear.register_buffer(left, Own(form.Products[i].Left.to(device)));
            linear.register_buffer(right, Own(form.Products[i].Right.to(device)));
            var (first, second) = (new SideBuffer(right), new SideBuffer(left));
            linear.register_forward_hook((module, x, y) =>
            {
                using var inner = nn.functional.linear(x, first.For(module, x));
                using var added = nn.functional.linear(inner, second.For(module, x));
                return y + added;
            });
        }
    }

    /// <summary>The hook before the layer computes the product and gives the layer an input without columns, so that it adds its bias to nothing; the hook after it puts both together.</summary>
    private static void InstallRunner(Linear linear, WeightRunner runner)
    {
        linear.register_module("packed", runner);
        SetWeight(linear, zeros([linear.out_features, 0]));
        var product = new ThreadLocal<Tensor?>();
        linear.register_forward_pre_hook((_, x) =>
        {
            product.Value = runner.Run(x);
            return x.narrow(-1, 0, 0);
        });
        linear.register_forward_hook((_, nothing, y) =>
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
            using (var scope = NewDisposeScope())
            {
                return (computed + bias.to(computed.dtype)).MoveToOuterDisposeScope();
            }
        });
    }

    private static void InstallBias(Linear linear, Tensor bias)
    {
        if (linear.bias is not null)
        {
            linear.bias.copy_(bias);
            return;
        }

        linear.register_buffer("shift", Own(bias.to_type(linear.weight!.dtype)));
        var shift = new SideBuffer("shift");
        linear.register_forward_hook((module, _, y) => y + shift.For(module, y));
    }

    private static void SetWeight(Linear linear, Tensor weight)
    {
        using var before = linear.weight!;
        linear.weight = new Parameter(Own(weight.to_type(before.dtype)), requires_grad: false);
    }

    /// <summary>A contiguous copy that outlives the dispose scope.</summary>
    private static Tensor Own(Tensor tensor) => tensor.clone().contiguous().DetachFromDisposeScope();
}
