using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A constant added to a layer's inputs so that none is negative and unsigned codes have twice the steps (SVDQuant's deployment, arXiv:2411.05007).</summary>
/// <remarks><see cref="Weights.QuantizedInputs"/> takes the shift off again behind the rounding; a kernel that cannot takes it from the bias. Zero padding has to become the shift as well.</remarks>
public static class InputShift
{
    /// <summary>The negated minimum of GELU, rounded up to what bfloat16 holds.</summary>
    public const double Gelu = 0.171875;

    /// <summary>b − W · shift: the bias with which shifted inputs give the outputs of unshifted ones.</summary>
    /// <param name="bias">b [m], or null for zeros.</param>
    /// <param name="weight">The whole effective weight [m, n], branch and smoothing included.</param>
    /// <param name="shift">What is added to inputs.</param>
    /// <returns>[m] in the weight's dtype; the caller owns it.</returns>
    public static Tensor CorrectBias(Tensor? bias, Tensor weight, double shift)
    {
        using var scope = NewDisposeScope();
        var taken = weight.sum([1]) * -shift;
        return (bias is null ? taken : taken + bias).MoveToOuterDisposeScope();
    }
}
