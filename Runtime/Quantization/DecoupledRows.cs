using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>Codes on a grid and what they cost, row by row; a row's parts always belong together.</summary>
/// <param name="Codes">q [m, n] int16.</param>
/// <param name="Scales">s [m, groups]; may be negative.</param>
/// <param name="Offsets">z [m, groups].</param>
/// <param name="Losses">(ŵ − w) H (ŵ − w)ᵀ [m] float64.</param>
internal sealed record DecoupledRows(Tensor Codes, Tensor Scales, Tensor Offsets, Tensor Losses)
{
    /// <summary>The cheaper of two candidates in each row, and how many rows the other one improves; a loss that is no number never does.</summary>
    public (DecoupledRows Rows, long Improved) Adopt(DecoupledRows other)
    {
        using var scope = NewDisposeScope();
        var better = other.Losses.lt(Losses);
        var row = better.unsqueeze(1);
        var rows = new DecoupledRows(
            where(row, other.Codes, Codes).MoveToOuterDisposeScope(),
            where(row, other.Scales, Scales).MoveToOuterDisposeScope(),
            where(row, other.Offsets, Offsets).MoveToOuterDisposeScope(),
            where(better, other.Losses, Losses).MoveToOuterDisposeScope());
        return (rows, better.sum().item<long>());
    }

    /// <summary>Hands the tensors to the scope outside the current one.</summary>
    public void MoveToOuterScope()
    {
        foreach (var tensor in new[] { Codes, Scales, Offsets, Losses })
        {
            tensor.MoveToOuterDisposeScope();
        }
    }
}
