using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>The second-level approximation of decoupleQ (arXiv:2404.12759): column by column, the error of rounding is made up for by the columns that follow (GPTQ, arXiv:2210.17323).</summary>
/// <remarks>Rounds half up and damps a metric that is damped already, as the published code does.</remarks>
internal sealed class SecondLevelRounding : IGridRounding
{
    /// <summary>Columns whose errors reach the rest of the matrix in one product.</summary>
    private const int BlockSize = 128;

    private const double Damping = 0.01;

    private readonly DecoupledMatrix matrix;
    private readonly Tensor order;
    private readonly Tensor weight;
    private readonly Tensor factor;

    /// <summary>Prepares what all grids share; tensors belong to the caller's dispose scope.</summary>
    /// <param name="matrix">The problem.</param>
    /// <param name="order">The order in which columns are rounded [n] int64.</param>
    public SecondLevelRounding(DecoupledMatrix matrix, Tensor order)
    {
        this.matrix = matrix;
        this.order = order;
        factor = InverseFactor.Of(matrix.Metric.index_select(0, order).index_select(1, order), Damping).Upper;
        weight = matrix.Weight.index_select(1, order).mT.contiguous();
    }

    /// <inheritdoc/>
    public Tensor Round(Tensor scales, Tensor offsets)
    {
        using var scope = NewDisposeScope();
        var groups = order.floor_divide(matrix.Grid.GroupLength);
        var (scale, offset) = (scales.mT.index_select(0, groups), offsets.mT.index_select(0, groups));
        var open = weight.clone();
        var codes = empty_like(open);
        for (long start = 0; start < open.shape[0]; start += BlockSize)
        {
            using var block = NewDisposeScope();
            long end = Math.Min(open.shape[0], start + BlockSize);
            var errors = RoundBlock(start, end, open, codes, scale, offset);
            long rest = open.shape[0] - end;
            if (rest > 0)
            {
                open.narrow(0, end, rest).addmm_(factor.narrow(0, start, end - start).narrow(1, end, rest).mT, errors, alpha: -1);
            }
        }

        return codes.index_select(0, order.argsort()).mT.contiguous().to(int16).MoveToOuterDisposeScope();
    }

    private Tensor RoundBlock(long start, long end, Tensor open, Tensor codes, Tensor scale, Tensor offset)
    {
        var errors = empty(end - start, open.shape[1], dtype: float64);
        for (long i = start; i < end; i++)
        {
            using var scope = NewDisposeScope();
            var code = matrix.Nearest(open[i], scale[i], offset[i]);
            codes[i].copy_(code);
            var error = (open[i] - (code * scale[i] + offset[i])) / factor[i, i];
            errors[i - start].copy_(error);
            if (i + 1 < end)
            {
                open.narrow(0, i + 1, end - i - 1).addmm_(factor[i].narrow(0, i + 1, end - i - 1).unsqueeze(1), error.unsqueeze(0), alpha: -1);
            }
        }

        return errors;
    }
}
