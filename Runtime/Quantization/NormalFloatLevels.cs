using PipelineDsl.Runtime.Formats.Packing;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The levels of NormalFloat (QLoRA, arXiv:2305.14314): quantiles of the normal distribution, scaled so that the ends are −1 and 1 and 0 is exact.</summary>
public static class NormalFloatLevels
{
    /// <summary>The quantile of the largest level, as published.</summary>
    private const double Offset = 0.9677083;

    /// <summary>The levels of a number of bits; those of 4 bits are the published table, which the formula gives to 1e-6.</summary>
    /// <param name="bits">2 to 8.</param>
    /// <returns>[2^bits] float32, ascending; the caller owns it.</returns>
    public static Tensor Of(int bits) => bits == 4 ? tensor(NormalFloat4.Levels.ToArray()) : tensor(Computed(bits).Select(level => (float)level).ToArray());

    /// <summary>The 8-bit map of double quantisation: means of neighbours on decades from 1e-7 to 1, both signs, with 0 and 1.</summary>
    /// <returns>[256] float32, ascending; the caller owns it.</returns>
    public static Tensor DynamicMap()
    {
        var values = new List<float> { 0, 1 };
        for (int decade = 0; decade < 7; decade++)
        {
            int count = 1 << decade;
            double Point(int i) => 0.1 + 0.9 * i / count;
            for (int i = 0; i < count; i++)
            {
                float value = (float)((float)((Point(i) + Point(i + 1)) / 2) * Math.Pow(10, decade - 6));
                values.Add(value);
                values.Add(-value);
            }
        }

        return tensor(values.Order().ToArray());
    }

    /// <summary>The index of the nearest level of each value; halfway the lower one.</summary>
    /// <param name="values">Any shape, of the dtype of the levels.</param>
    /// <param name="levels">Ascending.</param>
    /// <returns>int16 in the shape of the values; the caller owns it.</returns>
    public static Tensor Nearest(Tensor values, Tensor levels)
    {
        using var scope = NewDisposeScope();
        var middles = (levels[1..] + levels[..^1]) / 2;
        return bucketize(values.contiguous(), middles).to(int16).MoveToOuterDisposeScope();
    }

    private static double[] Computed(int bits)
    {
        using var scope = NewDisposeScope();
        int half = 1 << (bits - 1);
        var lower = linspace(1 - Offset, 0.5, half, dtype: float64)[..^1];
        var upper = linspace(0.5, Offset, half + 1, dtype: float64);
        var quantiles = special.erfinv(cat([lower, upper], 0) * 2 - 1);
        double[] levels = quantiles.div(quantiles[^1]).data<double>().ToArray();
        (levels[0], levels[half - 1], levels[^1]) = (-1, 0, 1);
        return levels;
    }
}
