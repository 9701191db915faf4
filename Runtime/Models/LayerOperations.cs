using PipelineDsl.Runtime.Adapters;
using TorchSharp;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>What modules of a model do with their weights, as adapters see it.</summary>
internal static class LayerOperations
{
    /// <summary>The operation of a module, on inputs as <see cref="Inputs"/> gives them.</summary>
    /// <exception cref="NotSupportedException">An adapter cannot stand beside the module's weight.</exception>
    public static LayerOperation Of(nn.Module module) => module switch
    {
        Linear => LayerOperation.Linear,
        Embedding => LayerOperation.Lookup,
        Conv2d { groups: > 1 } => throw new NotSupportedException("a convolution of several groups is no single matrix and cannot be adapted"),
        Conv2d convolution => new ConvolutionOperation([.. convolution.stride], IsPlain(convolution) ? [.. convolution.padding!] : [0, 0], [.. (long[])convolution.dilation]),
        _ => throw new NotSupportedException($"'{module.GetType().Name}' has no weight that an adapter works on"),
    };

    /// <summary>The inputs that the operation takes: those of the module, with the padding around them that the operation does not know.</summary>
    /// <returns>The inputs themselves, or new ones in the caller's dispose scope.</returns>
    public static Tensor Inputs(nn.Module module, Tensor x) => module is Conv2d convolution && !IsPlain(convolution) ? ConvolutionGeometry.Of(convolution).Pad(x) : x;

    /// <summary>Whether the padding is zeros, the same before and after.</summary>
    private static bool IsPlain(Conv2d convolution) => convolution.padding_mode == PaddingModes.Zeros && convolution.padding_type is null;
}
