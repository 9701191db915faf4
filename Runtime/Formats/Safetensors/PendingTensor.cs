using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>A tensor to write whose data is made only when its turn comes.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Load">Makes the tensor, of exactly that type and shape; the writer disposes it.</param>
public sealed record PendingTensor(string Name, ElementType Type, IReadOnlyList<long> Shape, Func<Tensor> Load)
{
    /// <summary>A tensor that is already there; it stays its owner's and must live until it is written.</summary>
    /// <exception cref="NotSupportedException">The format cannot hold its dtype.</exception>
    public static PendingTensor Of(string name, Tensor tensor) => new(name, ElementType.Of(tensor.dtype), tensor.shape, tensor.alias);

    /// <summary>Its size in bytes.</summary>
    public long ByteCount => Shape.Aggregate((long)Type.Bits, (bits, size) => checked(bits * size)) / 8;
}
