using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Rounds to quantiles of the normal distribution, with one scale a block of values (NF4, QLoRA, arXiv:2305.14314).</summary>
public sealed class NormalFloat : FewBits
{
    private const int DynamicMapBytes = 256 * 4;

    /// <summary>Consecutive values of the matrix, row after row, that share one scale; the last block may be shorter.</summary>
    [Within(2, int.MaxValue)]
    public int BlockSize { get; set; } = 64;

    /// <summary>Whether the scales are quantised themselves, to 8 bits in blocks of 256 around their mean.</summary>
    public bool DoubleQuantization { get; set; } = true;

    /// <summary>The scales that share one scale of their own, with double quantisation.</summary>
    public static int ScaleBlock => 256;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. factors.Select(factor => factor.IsVector ? factor : factor with { Bytes = BytesFor(factor.Rows * factor.Columns) })];

    /// <summary>Bytes of packed codes and of the table they are looked up in.</summary>
    internal static long BytesWithoutScales(long values, int bits) => (((values * bits) + 7) / 8) + ((1L << bits) * 4);

    private long BytesFor(long values)
    {
        long blocks = (values + BlockSize - 1) / BlockSize;
        long scales = DoubleQuantization ? blocks + (blocks + ScaleBlock - 1) / ScaleBlock * 4 + DynamicMapBytes + 4 : blocks * 4;
        return BytesWithoutScales(values, Bits) + scales;
    }
}
