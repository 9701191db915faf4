using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Where a convolution puts its kernel.</summary>
/// <param name="Kernel">Height and width.</param>
/// <param name="Stride">Down and across.</param>
/// <param name="Dilation">Down and across.</param>
/// <param name="Vertical">Padding above and below.</param>
/// <param name="Horizontal">Padding left and right.</param>
/// <param name="Mode">What the padding is filled with.</param>
internal sealed record ConvolutionGeometry(
    (long Height, long Width) Kernel,
    (long Down, long Across) Stride,
    (long Down, long Across) Dilation,
    (long Before, long After) Vertical,
    (long Before, long After) Horizontal,
    PaddingModes Mode)
{
    /// <summary>The geometry of a convolution whose weight is still its own.</summary>
    public static ConvolutionGeometry Of(Conv2d convolution)
    {
        long[] shape = convolution.weight!.shape;
        long[] dilation = convolution.dilation;
        return new(
            (shape[2], shape[3]),
            (convolution.stride[0], convolution.stride[1]),
            (dilation[0], dilation[1]),
            Padding(convolution, 0, dilation[0] * (shape[2] - 1)),
            Padding(convolution, 1, dilation[1] * (shape[3] - 1)),
            convolution.padding_mode);
    }

    /// <summary>The input with its padding around it; the caller owns it.</summary>
    public Tensor Pad(Tensor x) => nn.functional.pad(x, [Horizontal.Before, Horizontal.After, Vertical.Before, Vertical.After], Mode);

    /// <summary>Everything that one output reads, as rows: the convolution is their product with the weight matrix.</summary>
    /// <param name="x">[samples, channels, height, width] or one sample without the first axis.</param>
    /// <returns>[samples, positions, channels · kernel height · kernel width]; the caller owns it.</returns>
    public Tensor Patches(Tensor x)
    {
        using var scope = NewDisposeScope();
        var padded = Pad(x.dim() == 3 ? x.unsqueeze(0) : x);
        return nn.functional.unfold(padded, Kernel, Dilation, (0, 0), Stride).transpose(1, 2).MoveToOuterDisposeScope();
    }

    /// <summary>"Same" padding puts the odd one after, as the tensor library does.</summary>
    private static (long Before, long After) Padding(Conv2d convolution, int axis, long reach) => convolution.padding_type switch
    {
        TorchSharp.Padding.Valid => (0, 0),
        TorchSharp.Padding.Same => (reach / 2, reach - reach / 2),
        _ => (convolution.padding![axis], convolution.padding[axis]),
    };
}
