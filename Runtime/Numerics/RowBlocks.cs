using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Numerics;

/// <summary>Cuts a matrix into blocks of whole rows, so that a pass over it needs little memory beside it.</summary>
public static class RowBlocks
{
    /// <summary>The most values in a block of more than one row (8 MiB in float64).</summary>
    public const long MaxValues = 1 << 20;

    /// <summary>Rows of a block.</summary>
    public static long Height(long columns) => Math.Max(1, MaxValues / Math.Max(1, columns));

    /// <summary>The blocks of a matrix from top to bottom.</summary>
    public static IEnumerable<(long First, long Count)> Of(long rows, long columns)
    {
        long height = Height(columns);
        for (long first = 0; first < rows; first += height)
        {
            yield return (first, Math.Min(height, rows - first));
        }
    }

    /// <summary>The product x Wᵀ of a matrix that is made block by block.</summary>
    /// <param name="x">Inputs [..., columns].</param>
    /// <param name="rows">Rows of W.</param>
    /// <param name="columns">Columns of W.</param>
    /// <param name="block">Makes count rows from the first on, [count, columns].</param>
    /// <returns>Outputs [..., rows]; the caller owns them.</returns>
    public static Tensor Product(Tensor x, long rows, long columns, Func<long, long, Tensor> block)
    {
        using var scope = NewDisposeScope();
        var outputs = new List<Tensor>();
        foreach (var (first, count) in Of(rows, columns))
        {
            using var inner = NewDisposeScope();
            outputs.Add(nn.functional.linear(x, block(first, count).to(x.dtype)).MoveToOuterDisposeScope());
        }

        return (outputs.Count == 1 ? outputs[0] : cat(outputs, -1)).MoveToOuterDisposeScope();
    }
}
