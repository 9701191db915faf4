using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A convolution over two or three axes, padded with zeros.</summary>
/// <param name="Stride">One number an axis.</param>
/// <param name="Padding">Zeros before and after, one number an axis.</param>
/// <param name="Dilation">One number an axis.</param>
public sealed record ConvolutionOperation(IReadOnlyList<long> Stride, IReadOnlyList<long> Padding, IReadOnlyList<long> Dilation) : LayerOperation
{
    /// <summary>How many axes the kernel has.</summary>
    public int Axes => Stride.Count;

    /// <inheritdoc/>
    public override Tensor Apply(Tensor x, Tensor weight) => Axes switch
    {
        2 => nn.functional.conv2d(x, weight, null, [.. Stride], [.. Padding], [.. Dilation]),
        3 => nn.functional.conv3d(x, weight, null, [.. Stride], [.. Padding], [.. Dilation]),
        _ => throw new NotSupportedException($"a convolution over {Axes} axes cannot be adapted; over 2 or 3 it can"),
    };

    /// <inheritdoc/>
    public override Tensor Matrix(Tensor weight) => weight.flatten(1);

    /// <inheritdoc/>
    public override Tensor Shaped(Tensor matrix, long[] shape) => matrix.reshape([matrix.shape[0], .. shape[1..]]);

    /// <inheritdoc/>
    public override Tensor OverUnits(Tensor units, Tensor output) => units.reshape([-1, .. Enumerable.Repeat(1L, Axes)]);

    /// <inheritdoc/>
    public override Tensor Mix(Tensor output, Tensor matrix)
    {
        using var kernel = matrix.reshape([.. matrix.shape, .. Enumerable.Repeat(1L, Axes)]);
        return Axes == 2 ? nn.functional.conv2d(output, kernel) : nn.functional.conv3d(output, kernel);
    }
}
