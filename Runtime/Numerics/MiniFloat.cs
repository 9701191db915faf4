using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Floats of few bits: a sign, an exponent and a mantissa, without infinities.</summary>
/// <remarks>
/// Rounding is to nearest, ties to the smaller magnitude, as the published exporter of SVDQuant has it (arXiv:2411.05007); hardware casts round ties to even.
/// Values beyond the largest become the largest; a NaN stays one when rounded.
/// </remarks>
public sealed class MiniFloat
{
    private readonly double[] magnitudes;
    private readonly double[] limits;
    private readonly int sign;

    private MiniFloat(int exponentBits, int mantissaBits, int bias, int finite)
    {
        sign = 1 << (exponentBits + mantissaBits);
        magnitudes = [.. Enumerable.Range(0, finite).Select(code => Magnitude(code >> mantissaBits, code & ((1 << mantissaBits) - 1), mantissaBits, bias))];
        limits = [.. magnitudes.Zip(magnitudes.Skip(1), (low, high) => (low + high) / 2)];
    }

    /// <summary>4 bits: 0, ½, 1, 1½, 2, 3, 4, 6 with a sign.</summary>
    public static MiniFloat E2M1 { get; } = new(exponentBits: 2, mantissaBits: 1, bias: 1, finite: 8);

    /// <summary>8 bits, largest 448, smallest 2⁻⁹; the last code of either sign is NaN.</summary>
    public static MiniFloat E4M3 { get; } = new(exponentBits: 4, mantissaBits: 3, bias: 7, finite: 127);

    /// <summary>The largest value.</summary>
    public double Largest => magnitudes[^1];

    /// <summary>The value of every code, as a table: codes without a value are NaN.</summary>
    public float[] Levels
    {
        get
        {
            float[] levels = new float[2 * sign];
            Array.Fill(levels, float.NaN);
            for (int code = 0; code < magnitudes.Length; code++)
            {
                levels[code] = (float)magnitudes[code];
                levels[code | sign] = -(float)magnitudes[code];
            }

            return levels;
        }
    }

    /// <summary>The codes of the nearest values: the magnitude's with the sign above it; a zero has no sign.</summary>
    /// <param name="values">Floating point, no NaN.</param>
    /// <returns>uint8 in the values' shape; the caller owns it.</returns>
    public Tensor Encode(Tensor values)
    {
        using var scope = NewDisposeScope();
        var codes = Nearest(values);
        return (codes + where((values < 0) & (codes > 0), (long)sign, 0L)).to(uint8).MoveToOuterDisposeScope();
    }

    /// <summary>The values of codes.</summary>
    /// <param name="codes">uint8.</param>
    /// <returns>float64 in the codes' shape; the caller owns it.</returns>
    public Tensor Decode(Tensor codes)
    {
        using var scope = NewDisposeScope();
        return tensor(Array.ConvertAll(Levels, level => (double)level))[codes.to(int64)].MoveToOuterDisposeScope();
    }

    /// <summary>The nearest values.</summary>
    /// <param name="values">Floating point.</param>
    /// <returns>In the values' dtype and shape; the caller owns it.</returns>
    public Tensor Round(Tensor values)
    {
        using var scope = NewDisposeScope();
        var rounded = tensor(magnitudes).to(values.dtype, values.device)[Nearest(values)];
        return where(values.isnan(), values, where(values < 0, -rounded, rounded)).MoveToOuterDisposeScope();
    }

    /// <summary>The index of the nearest magnitude: a value on a limit belongs to what is below it.</summary>
    private Tensor Nearest(Tensor values) => bucketize(values.abs().contiguous(), tensor(limits).to(values.dtype, values.device));

    private static double Magnitude(int exponent, int mantissa, int mantissaBits, int bias) =>
        exponent == 0 ? Math.ScaleB(mantissa, 1 - bias - mantissaBits) : Math.ScaleB((1 << mantissaBits) + mantissa, exponent - bias - mantissaBits);
}
