using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A change of a weight matrix: scaling · B A.</summary>
/// <param name="A">[rank, inputs]; of a convolution in the kernel's shape, [rank, in, sizes...].</param>
/// <param name="B">[units, rank].</param>
/// <param name="Scaling">What multiplies the product.</param>
public sealed record LowRankDelta(Tensor A, Tensor B, double Scaling) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
    }
}
