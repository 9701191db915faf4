namespace PipelineDsl;

/// <summary>One matrix of a weight expression and what it costs to store.</summary>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">Columns.</param>
/// <param name="Bytes">Bytes of payload, tables and scales included.</param>
public sealed record MatrixCost(long Rows, long Columns, long Bytes)
{
    /// <summary>Whether it is a vector beside the matrices, such as a mean, which later steps leave as it is.</summary>
    public bool IsVector { get; init; }
}
