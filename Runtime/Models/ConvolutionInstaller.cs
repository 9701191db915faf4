using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Puts a compressed weight into a convolution of a user's model.</summary>
/// <remarks>
/// Channel-wise factors run as the member itself with few channels, then a hook with the 1 × 1 kernel and the bias. Spatial factors run as a
/// hook with the height × 1 kernel, then the member itself with the 1 × width kernel. Everything else, and convolutions that pad with other
/// than zeros, run dense.
/// </remarks>
internal static class ConvolutionInstaller
{
    /// <summary>Puts a weight and, if given, a bias into a convolution.</summary>
    public static void Install(Conv2d convolution, Expression weight, Tensor? bias)
    {
        bool zeros = convolution.padding_mode == PaddingModes.Zeros;
        if (zeros && weight is Product channels && Saves(channels, weight))
        {
            InstallChannels(convolution, channels, bias ?? convolution.bias);
            return;
        }

        if (zeros && weight is SpatialKernel { Inner: Product lines } && Saves(lines, weight))
        {
            InstallLines(convolution, lines);
        }
        else
        {
            convolution.weight!.copy_(weight.Materialize().reshape(convolution.weight.shape));
        }

        if (bias is not null)
        {
            InstallBias(convolution, bias);
        }
    }

    private static bool Saves(Product product, Expression weight) =>
        product.Left.Columns * (product.Rows + product.Columns) < weight.Rows * weight.Columns;

    private static void InstallChannels(Conv2d convolution, Product factors, Tensor? bias)
    {
        var before = convolution.weight!;
        long rank = factors.Left.Columns;
        convolution.register_buffer("left", Owned(factors.Left.Materialize().reshape(-1, rank, 1, 1), before));
        if (bias is not null)
        {
            convolution.register_buffer("shift", Owned(bias, before));
            convolution.bias = null;
        }

        bool shifted = bias is not null;
        SetWeight(convolution, factors.Right.Materialize().reshape(rank, before.shape[1], before.shape[2], before.shape[3]));
        convolution.register_forward_hook((module, _, y) => nn.functional.conv2d(y, module.get_buffer("left")!, shifted ? module.get_buffer("shift") : null));
    }

    private static void InstallLines(Conv2d convolution, Product factors)
    {
        var geometry = ConvolutionGeometry.Of(convolution);
        var before = convolution.weight!;
        var ((height, width), rank) = (geometry.Kernel, factors.Left.Columns);
        convolution.register_buffer("right", Owned(factors.Right.Materialize().reshape(rank, -1, height, 1), before));
        SetWeight(convolution, factors.Left.Materialize().reshape(-1, width, rank, 1).permute(0, 2, 3, 1));
        convolution.stride = [1, geometry.Stride.Across];
        convolution.dilation = [1, geometry.Dilation.Across];
        convolution.register_forward_pre_hook((module, x) => Down(x, module.get_buffer("right")!, geometry));

        // The member still pads above and below, where its kernel of one row needs nothing.
        long padded = convolution.padding_type is null ? geometry.Vertical.Before : 0;
        if (padded > 0)
        {
            convolution.register_forward_hook((_, _, y) => y.narrow(-2, padded, y.shape[^2] - 2 * padded));
        }
    }

    private static Tensor Down(Tensor x, Tensor kernel, ConvolutionGeometry geometry)
    {
        using var padded = nn.functional.pad(x, [0, 0, geometry.Vertical.Before, geometry.Vertical.After]);
        return nn.functional.conv2d(padded, kernel, null, [geometry.Stride.Down, 1], [0, 0], [geometry.Dilation.Down, 1]);
    }

    private static void InstallBias(Conv2d convolution, Tensor bias)
    {
        if (convolution.bias is not null)
        {
            convolution.bias.copy_(bias);
            return;
        }

        convolution.register_buffer("shift", Owned(bias.reshape(-1, 1, 1), convolution.weight!));
        convolution.register_forward_hook((module, _, y) => y + module.get_buffer("shift")!);
    }

    private static void SetWeight(Conv2d convolution, Tensor weight)
    {
        using var before = convolution.weight!;
        convolution.weight = new Parameter(Owned(weight, before), requires_grad: false);
    }

    /// <summary>A contiguous copy beside another tensor that outlives the dispose scope.</summary>
    private static Tensor Owned(Tensor tensor, Tensor beside) => tensor.to(beside.dtype, beside.device, copy: true).contiguous().DetachFromDisposeScope();
}
