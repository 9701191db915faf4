namespace PipelineDsl.Runtime.Numerics;

/// <summary>Cuts a matrix into blocks of whole rows, so that a pass over it needs little memory beside it.</summary>
public static class RowBlocks
{
    /// <summary>The most values in a block of more than one row (8 MiB in float64).</summary>
    public const long MaxValues = 1 << 20;

    /// <summary>The blocks of a matrix from top to bottom.</summary>
    public static IEnumerable<(long First, long Count)> Of(long rows, long columns)
    {
        long height = Math.Max(1, MaxValues / Math.Max(1, columns));
        for (long first = 0; first < rows; first += height)
        {
            yield return (first, Math.Min(height, rows - first));
        }
    }
}
