using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A matrix over levels M · sgn(q) · (|q|/Q)^(1/a), Q = 2^(b−1) − 1, M the largest magnitude of a row (PowerQuant, arXiv:2301.09858).</summary>
/// <remarks>
/// Codes are rounded where levels are evenly spaced: q = round(sgn(w) Q (|w|/M)^a), half to even. M is rounded to its stored dtype first; M of zeros is 1. Everything is computed in
/// shares of M: (q M^a / Q)^(1/a) would overflow where floats are short.
/// </remarks>
internal sealed class PowerGrid : IDisposable
{
    private readonly Tensor weight;
    private readonly Tensor logShares;
    private readonly GridGeometry geometry;

    /// <summary>A matrix without its exponent.</summary>
    /// <param name="weight">W [m, n], finite; copied to float64.</param>
    /// <param name="step">Bits and what shares a scale.</param>
    /// <param name="scaleType">What M is rounded to: float16 or float32; float64 for the exact method.</param>
    /// <exception cref="InvalidOperationException">The weight holds NaN or infinity, or M does not fit its dtype.</exception>
    public PowerGrid(Tensor weight, PowerQuant step, ScalarType scaleType)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(weight, "the weight");
        geometry = new(weight.shape[0], weight.shape[1], step.Bits, Signed: false, step.Granularity, step.GroupSize);
        this.weight = weight.to(float64, copy: true).DetachFromDisposeScope();
        var largest = Largest(this.weight.abs());
        var stored = largest.to(scaleType);
        if (!stored.isfinite().all().item<bool>())
        {
            throw new InvalidOperationException($"a scale of {largest.max().item<double>():g3} does not fit {scaleType}; use 'scaleType: float32'");
        }

        Scales = where(stored == 0, ones_like(stored), stored).DetachFromDisposeScope();
        SpreadScales = geometry.Spread(Scales.to(float64)).clone().DetachFromDisposeScope();

        // ln 0 is −∞, whose power is 0 again.
        logShares = (this.weight.abs() / SpreadScales).log().DetachFromDisposeScope();
    }

    /// <summary>Q.</summary>
    public int Highest => (1 << (geometry.Bits - 1)) - 1;

    /// <summary>M in the grid's scale shape and stored dtype.</summary>
    public Tensor Scales { get; }

    /// <summary>M for every value, or what broadcasts to that, float64.</summary>
    public Tensor SpreadScales { get; }

    /// <summary>sgn(w) Q (|w|/M)^a [m, n] float64, not rounded; the caller owns it.</summary>
    public Tensor Latent(double exponent) => Latent(exponent, 0, geometry.Rows);

    /// <summary>The codes [m, n] float64; the caller owns them.</summary>
    public Tensor Codes(double exponent)
    {
        using var scope = NewDisposeScope();
        return Round(Latent(exponent)).MoveToOuterDisposeScope();
    }

    /// <summary>Codes within ±Q from latent ones; the caller owns them.</summary>
    public Tensor Round(Tensor latent) => latent.round().clamp_(-Highest, Highest);

    /// <summary>The values of codes [m, n] float64; the caller owns them.</summary>
    public Tensor Dequantize(Tensor codes, double exponent)
    {
        using var scope = NewDisposeScope();
        return (Values(codes, exponent) * SpreadScales).MoveToOuterDisposeScope();
    }

    /// <summary>‖W − Ŵ‖_p.</summary>
    /// <param name="exponent">a.</param>
    /// <param name="norm">p.</param>
    public double Error(double exponent, double norm)
    {
        double sum = 0;
        foreach (var (first, count) in RowBlocks.Of(geometry.Rows, geometry.Columns))
        {
            using var scope = NewDisposeScope();
            var scales = SpreadScales.shape[0] == 1 ? SpreadScales : SpreadScales.narrow(0, first, count);
            var difference = (Values(Round(Latent(exponent, first, count)), exponent) * scales).sub_(weight.narrow(0, first, count));
            sum += (norm == 2 ? difference.square() : difference.abs().pow(norm)).sum().item<double>();
        }

        return Math.Pow(sum, 1 / norm);
    }

    /// <summary>The grid as it is stored: codes from 0, M, and a table of levels; the caller owns it.</summary>
    /// <param name="codes">[m, n] within ±Q.</param>
    /// <param name="exponent">a.</param>
    public Grid Store(Tensor codes, double exponent)
    {
        using var scope = NewDisposeScope();
        int zero = Highest + 1;
        float[] levels = [.. Enumerable.Range(0, 2 * zero).Select(code => (float)Level(code - zero, exponent))];
        var scales = Scales.to(Scales.dtype == float64 ? float32 : Scales.dtype, copy: true);
        return Grid.Pack(geometry, (codes + zero).to(int16), scales, null, tensor(levels));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        weight.Dispose();
        logShares.Dispose();
        Scales.Dispose();
        SpreadScales.Dispose();
    }

    private Tensor Latent(double exponent, long first, long count)
    {
        using var scope = NewDisposeScope();
        var powers = (logShares.narrow(0, first, count) * exponent).exp_().mul_(Highest);
        return powers.mul_(weight.narrow(0, first, count).sign()).MoveToOuterDisposeScope();
    }

    /// <summary>Ŵ / M.</summary>
    private Tensor Values(Tensor codes, double exponent)
    {
        double[] table = [.. Enumerable.Range(-Highest, 2 * Highest + 1).Select(code => Level(code, exponent))];
        return tensor(table)[(codes + Highest).to(int64)];
    }

    /// <summary>sgn(q) (|q|/Q)^(1/a); the code below −Q, which no value has, repeats its neighbour.</summary>
    private double Level(int code, double exponent) => Math.Sign(code) * Math.Pow(Math.Min(1, (double)Math.Abs(code) / Highest), 1 / exponent);

    private Tensor Largest(Tensor magnitudes) => geometry.Granularity == Granularity.Tensor ? magnitudes.max().reshape(1, 1) : geometry.Cut(magnitudes).amax([-1]);
}
