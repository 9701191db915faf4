using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A matrix of unsigned codes for a table of levels, in blocks over its flattened values: value = scale · level(code) + offset.</summary>
/// <param name="Grid">The codes.</param>
/// <param name="BlockSize">Neighbours that share a scale.</param>
internal sealed record BlockGrid(Grid Grid, long BlockSize)
{
    /// <summary>How many values it has.</summary>
    public long Count => Grid.Rows * Grid.Columns;

    /// <summary>How many scales it has.</summary>
    public long Blocks => (Count - 1) / BlockSize + 1;

    /// <summary>What stands for each code, owned by the grid.</summary>
    public Tensor Levels => Grid.Levels!;

    /// <summary>Finds codes in blocks: a grid whose rows are whole blocks, or one row, in whatever shape.</summary>
    public static BlockGrid? Find(Expression weight)
    {
        while (weight is Reshaped reshaped)
        {
            weight = reshaped.Inner;
        }

        if (weight is not Grid { Levels: not null } grid || grid.Geometry.Granularity == Granularity.Tensor)
        {
            return null;
        }

        long size = grid.Geometry.Granularity == Granularity.Group ? grid.Geometry.GroupSize : grid.Columns;
        return grid.Rows == 1 || grid.Columns % size == 0 ? new(grid, size) : null;
    }

    /// <summary>The codes, one after the other.</summary>
    public byte[] Codes()
    {
        using var scope = NewDisposeScope();
        return Grid.UnpackedCodes().to(uint8).contiguous().bytes.ToArray();
    }

    /// <summary>The scales [blocks] float32; the caller owns them.</summary>
    public Tensor Scales()
    {
        using var scope = NewDisposeScope();
        return Grid.Scales.Materialize().to(float32).reshape(-1).MoveToOuterDisposeScope();
    }
}
