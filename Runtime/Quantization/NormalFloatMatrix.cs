using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>A matrix in NormalFloat: blocks over its values row after row, each scaled by its largest magnitude (QLoRA, arXiv:2305.14314).</summary>
internal static class NormalFloatMatrix
{
    /// <summary>The largest magnitude of each block.</summary>
    /// <param name="flat">[values] float32.</param>
    /// <param name="blockSize">Values a block; the last may be shorter.</param>
    /// <returns>[blocks] float32 in the caller's dispose scope.</returns>
    public static Tensor Magnitudes(Tensor flat, int blockSize)
    {
        using var scope = NewDisposeScope();
        return Cut(flat, blockSize).abs().amax(-1).MoveToOuterDisposeScope();
    }

    /// <summary>The codes of values whose blocks have these scales; blocks of scale 0 get the level 0.</summary>
    /// <param name="flat">[values] float32.</param>
    /// <param name="scales">[blocks] float32.</param>
    /// <param name="levels">[levels] float32.</param>
    /// <param name="blockSize">Values a block; the last may be shorter.</param>
    /// <returns>[values] int16 in the caller's dispose scope.</returns>
    public static Tensor Codes(Tensor flat, Tensor scales, Tensor levels, int blockSize)
    {
        using var scope = NewDisposeScope();
        var divided = Cut(flat, blockSize) / scales.unsqueeze(-1);
        var finite = where(scales.unsqueeze(-1) == 0, zeros_like(divided), divided);
        return NormalFloatLevels.Nearest(finite.reshape(-1)[..(int)flat.shape[0]], levels).MoveToOuterDisposeScope();
    }

    /// <summary>Stores a matrix; the caller owns the result.</summary>
    /// <param name="matrix">[rows, columns], any real dtype.</param>
    /// <param name="step">Bits, block and whether scales are quantised; codes are then computed with the scales as they are stored.</param>
    /// <exception cref="InvalidOperationException">The matrix holds NaN or infinity.</exception>
    public static Expression Store(Tensor matrix, NormalFloat step) =>
        Store(matrix, step.Bits, step.BlockSize, magnitudes => step.DoubleQuantization ? Quantize(magnitudes) : new Dense(magnitudes.reshape(1, -1)));

    /// <summary>As above, with a form of its own for the scales.</summary>
    /// <param name="matrix">[rows, columns], any real dtype.</param>
    /// <param name="bits">2 to 8.</param>
    /// <param name="blockSize">Values a block; the last may be shorter.</param>
    /// <param name="store">Makes of the largest magnitude of each block [blocks] float32 the scales that are stored [1, blocks].</param>
    public static Expression Store(Tensor matrix, int bits, int blockSize, Func<Tensor, Expression> store)
    {
        using var scope = NewDisposeScope();
        MatrixChecks.RequireFinite(matrix, "the weight");
        var flat = matrix.to(float32).reshape(-1);
        var levels = NormalFloatLevels.Of(bits);
        var scales = store(Magnitudes(flat, blockSize));
        var codes = Codes(flat, scales.Materialize().reshape(-1), levels, blockSize);
        var geometry = new GridGeometry(1, flat.shape[0], bits, false, Granularity.Group, blockSize);
        return new Reshaped(Grid.Pack(geometry, codes.reshape(1, -1), scales, null, levels), matrix.shape[0], matrix.shape[1]);
    }

    /// <summary>Scales on the dynamic map around their mean, in blocks.</summary>
    /// <param name="scales">[blocks] float32.</param>
    /// <returns>A form of [1, blocks]; the caller owns it.</returns>
    public static Grid Quantize(Tensor scales)
    {
        using var scope = NewDisposeScope();
        var map = NormalFloatLevels.DynamicMap();
        var offset = scales.mean();
        var centred = scales - offset;
        var outer = Magnitudes(centred, NormalFloat.ScaleBlock);
        var geometry = new GridGeometry(1, scales.shape[0], 8, false, Granularity.Group, NormalFloat.ScaleBlock);
        return Grid.Pack(geometry, Codes(centred, outer, map, NormalFloat.ScaleBlock).reshape(1, -1), outer.reshape(1, -1), offset.reshape(1, 1), map);
    }

    private static Tensor Cut(Tensor flat, int blockSize)
    {
        long missing = (blockSize - flat.shape[0] % blockSize) % blockSize;
        return nn.functional.pad(flat, [0, missing]).reshape(-1, blockSize);
    }
}
