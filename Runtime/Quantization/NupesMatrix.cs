using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>One matrix under NUPES: Ŵ = M sgn(q) u^(1/a), u = |q|/Q, q = clip(round(V), ±Q), with V and a learned (arXiv:2308.05600).</summary>
/// <remarks>
/// Gradients are those of the stable form, written out: ∂Ŵ/∂a = −M sgn(q) u^(1/a) ln u / a², 0 where u is 0 or 1; ∂Ŵ/∂q = M u^(1/a − 1) / (a Q), and below the first level the secant to
/// it, M (1/Q)^(1/a): the derivative itself is 0 there for a &lt; 1, and a value could never leave zero. Rounding and clipping pass gradients straight through.
/// </remarks>
internal sealed class NupesMatrix : ITrainableMatrix
{
    private const double LowestExponent = 0.1;
    private const double HighestExponent = 2;

    private readonly PowerGrid grid;
    private readonly Tensor scales;

    /// <summary>Starts from a grid with its exponent.</summary>
    /// <param name="grid">The grid; this object takes ownership.</param>
    /// <param name="exponent">a.</param>
    /// <param name="dtype">What is computed in.</param>
    public NupesMatrix(PowerGrid grid, double exponent, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        this.grid = grid;
        scales = grid.SpreadScales.to(dtype, copy: true).DetachFromDisposeScope();
        Latent = grid.Latent(exponent).to(dtype, copy: true).requires_grad_(true).DetachFromDisposeScope();
        Exponent = tensor(exponent, dtype: float64).requires_grad_(true).DetachFromDisposeScope();
    }

    /// <summary>V [m, n], codes before they are rounded.</summary>
    public Tensor Latent { get; }

    /// <summary>a, a number in float64.</summary>
    public Tensor Exponent { get; }

    /// <summary>β of soft rounding ⌊V⌋ + σ(β (V − ⌊V⌋ − ½)), or null to round straight through.</summary>
    public double? Sharpness { get; set; }

    /// <inheritdoc/>
    public Tensor Soft()
    {
        var (codes, through) = Codes();
        var (value, byCode, byExponent) = Derivatives(codes);

        // Zeros whose derivatives are the ones above: the value stays what the stored grid gives.
        return value + ((through - through.detach()) * byCode) + ((Exponent - Exponent.detach()).to(value.dtype) * byExponent);
    }

    /// <inheritdoc/>
    public Expression Harden()
    {
        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        return grid.Store(grid.Round(Latent), Exponent.item<double>());
    }

    /// <summary>Keeps V within half a code of the grid, and a within [0.1, 2].</summary>
    public void Project()
    {
        Latent.clamp_(-grid.Highest - 0.5, grid.Highest + 0.5);
        Exponent.clamp_(LowestExponent, HighestExponent);
    }

    /// <summary>Releases everything but what is trained, which belongs to the weight.</summary>
    public void Dispose()
    {
        grid.Dispose();
        scales.Dispose();
    }

    /// <summary>The codes without gradient, and what their gradient goes to.</summary>
    private (Tensor Codes, Tensor Through) Codes()
    {
        if (Sharpness is not { } sharpness)
        {
            return (grid.Round(Latent.detach()), Latent);
        }

        var floor = Latent.detach().floor();
        var soft = floor + ((Latent - floor - 0.5) * sharpness).sigmoid();
        return (soft.detach().clamp(-grid.Highest, grid.Highest), soft);
    }

    private (Tensor Value, Tensor ByCode, Tensor ByExponent) Derivatives(Tensor codes)
    {
        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        double a = Exponent.item<double>();
        double highest = grid.Highest;
        var magnitudes = codes.abs();

        // Masked before the power and the logarithm: 0 times infinity is no number.
        var below = magnitudes < 1;
        var shares = where(magnitudes == 0, ones_like(magnitudes), magnitudes / highest);
        var roots = shares.pow(1 / a);
        var signs = codes.sign() * scales;
        var slopes = where(below, full_like(roots, Math.Pow(1 / highest, 1 / a)), shares.pow((1 / a) - 1) / (a * highest)) * scales;
        var byExponent = signs * roots * shares.log() / (-a * a);
        return ((signs * roots).MoveToOuterDisposeScope(), slopes.MoveToOuterDisposeScope(), byExponent.MoveToOuterDisposeScope());
    }
}
