using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Puts compressed weights into a user's model, whose forward code stays as it is.</summary>
/// <remarks>
/// TorchSharp's layers are sealed, so a layer keeps its own object. A dense result becomes its weight. In a
/// product, the left factor becomes the weight and a hook multiplies by the right factor first. In a sum, the dense part is
/// the weight and a hook adds the products. Factors are buffers of the layer, so that they move with it. Tables and
/// convolutions run dense. Hooks run on <c>call</c>, not on <c>forward</c>.
/// </remarks>
internal static class LayerInstaller
{
    /// <summary>Puts a weight and, if given, a bias into a layer. The tensors are copied; the expression stays the caller's.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="weight">The new weight, [rows, columns] of the layer.</param>
    /// <param name="bias">The new bias [rows], or null to leave the old one.</param>
    public static void Install(ModelLayer layer, Expression weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var device = layer.Weight.device;
        if (layer.Module is Linear linear)
        {
            InstallLinear(linear, RunnableForm.Of(weight), device);
            if (bias is not null)
            {
                InstallBias(linear, bias.to(device));
            }
        }
        else
        {
            layer.Weight.copy_(weight.Materialize().reshape(layer.Weight.shape));
            if (bias is not null)
            {
                ((Conv2d)layer.Module).bias!.copy_(bias);
            }
        }
    }

    private static void InstallLinear(Linear linear, RunnableForm form, Device device)
    {
        if (form.Dense is null && form.Products.Count == 1)
        {
            SetWeight(linear, form.Products[0].Left.to(device));
            linear.register_buffer("right", Own(form.Products[0].Right.to(device)));
            linear.register_forward_pre_hook((module, x) => nn.functional.linear(x, module.get_buffer("right")!));
            return;
        }

        SetWeight(linear, (form.Dense ?? zeros(linear.out_features, linear.in_features)).to(device));
        for (int i = 0; i < form.Products.Count; i++)
        {
            string left = $"left_{i}";
            string right = $"right_{i}";
            linear.register_buffer(left, Own(form.Products[i].Left.to(device)));
            linear.register_buffer(right, Own(form.Products[i].Right.to(device)));
            linear.register_forward_hook((module, x, y) =>
            {
                using var inner = nn.functional.linear(x, module.get_buffer(right)!);
                using var added = nn.functional.linear(inner, module.get_buffer(left)!);
                return y + added;
            });
        }
    }

    private static void InstallBias(Linear linear, Tensor bias)
    {
        if (linear.bias is not null)
        {
            linear.bias.copy_(bias);
            return;
        }

        linear.register_buffer("shift", Own(bias.to_type(linear.weight!.dtype)));
        linear.register_forward_hook((module, _, y) => y + module.get_buffer("shift")!);
    }

    private static void SetWeight(Linear linear, Tensor weight)
    {
        using var before = linear.weight!;
        linear.weight = new Parameter(Own(weight.to_type(before.dtype)), requires_grad: false);
    }

    /// <summary>A contiguous copy that outlives the dispose scope.</summary>
    private static Tensor Own(Tensor tensor) => tensor.clone().contiguous().DetachFromDisposeScope();
}
