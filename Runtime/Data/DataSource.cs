namespace PipelineDsl.Runtime.Data;

/// <summary>A recipe's data file, opened: where the default batches come from.</summary>
public abstract class DataSource
{
    /// <summary>The file.</summary>
    public required string Path { get; init; }

    /// <summary>The batches that statistics are collected on.</summary>
    public abstract IEnumerable<Batch> CalibrationBatches();

    /// <summary>The batches that quality is measured on.</summary>
    public abstract IEnumerable<Batch> EvaluationBatches();
}
