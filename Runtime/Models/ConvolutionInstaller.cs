using PipelineDsl.Runtime.Weights;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Puts a compressed weight into a convolution of a user's model.</summary>
/// <remarks>
/// Factors run as two convolutions: the member itself, with the right factor as a kernel of few outputs, and a hook with the left
/// factor and the bias. Channel-wise the hook's kernel is 1 × 1. Spatially the member's is height × 1 and the hook's 1 × width; the member's
/// padding left and right is then that of the hook, for columns do not mix in the member. Everything else runs dense.
/// </remarks>
internal static class ConvolutionInstaller
{
    /// <summary>Puts a weight and, if given, a bias into a convolution.</summary>
    public static void Install(Conv2d convolution, Expression weight, Tensor? bias)
    {
        bool knownPadding = convolution.padding_mode == PaddingModes.Zeros || convolution.padding_type is null;
        if (weight is Product channels && Saves(channels, weight))
        {
            var kernel = ConvolutionGeometry.Of(convolution).Kernel;
            var second = new Second((1, 1), (1, 1), (0, 0));
            InstallFactors(convolution, channels, kernel, second, bias ?? convolution.bias);
        }
        else if (weight is SpatialKernel { Inner: Product lines } && knownPadding && Saves(lines, weight))
        {
            InstallLines(convolution, lines, bias ?? convolution.bias);
        }
        else
        {
            convolution.weight!.copy_(weight.Materialize().reshape(convolution.weight.shape));
            if (bias is not null)
            {
                using var old = convolution.bias;
                convolution.bias = new Parameter(Owned(bias, convolution.weight), requires_grad: false);
            }
        }
    }

    private static bool Saves(Product product, Expression weight) =>
        product.Left.Columns * (product.Rows + product.Columns) < weight.Rows * weight.Columns;

    private static void InstallLines(Conv2d convolution, Product factors, Tensor? bias)
    {
        var geometry = ConvolutionGeometry.Of(convolution);
        var rest = convolution.padding_type is null ? (0, 0) : geometry.Horizontal;
        convolution.stride = [geometry.Stride.Down, 1];
        convolution.dilation = [geometry.Dilation.Down, 1];
        InstallFactors(convolution, factors, (geometry.Kernel.Height, 1), new Second((1, geometry.Stride.Across), (1, geometry.Dilation.Across), rest), bias);
    }

    private static void InstallFactors(Conv2d convolution, Product factors, (long Height, long Width) kernel, Second second, Tensor? bias)
    {
        using var before = convolution.weight!;
        long rank = factors.Left.Columns;
        long width = factors.Rows / convolution.out_channels;
        var left = factors.Left.Materialize().reshape(-1, width, rank, 1).permute(0, 2, 3, 1);
        convolution.register_buffer("left", Owned(left, before));
        var kernels = new SideBuffer("left");
        var shift = bias is null ? null : new SideBuffer("shift");
        if (bias is not null)
        {
            using var old = convolution.bias;
            convolution.register_buffer("shift", Owned(bias, before));
            convolution.bias = null;
        }

        convolution.weight = new Parameter(Owned(factors.Right.Materialize().reshape(rank, -1, kernel.Height, kernel.Width), before), requires_grad: false);
        convolution.register_forward_hook((module, _, y) => second.Apply(y, kernels.For(module, y), shift?.For(module, y)));
    }

    /// <summary>A contiguous copy beside another tensor that outlives the dispose scope.</summary>
    private static Tensor Owned(Tensor tensor, Tensor beside) => tensor.to(beside.dtype, beside.device, copy: true).contiguous().DetachFromDisposeScope();

    /// <summary>The geometry of the hook's convolution.</summary>
    private sealed record Second((long Down, long Across) Stride, (long Down, long Across) Dilation, (long Left, long Right) Padding)
    {
        public Tensor Apply(Tensor x, Tensor kernel, Tensor? bias)
        {
            using var padded = nn.functional.pad(x, [Padding.Left, Padding.Right, 0, 0]);
            return nn.functional.conv2d(padded, kernel, bias, [Stride.Down, Stride.Across], [0, 0], [Dilation.Down, Dilation.Across]);
        }
    }
}
