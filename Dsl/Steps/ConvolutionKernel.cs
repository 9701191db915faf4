namespace PipelineDsl;

/// <summary>What the shape of a convolution's weight matrix does not say.</summary>
/// <param name="Height">Kernel height.</param>
/// <param name="Width">Kernel width.</param>
/// <param name="Groups">Groups of channels that do not see each other.</param>
public sealed record ConvolutionKernel(long Height, long Width, long Groups);
