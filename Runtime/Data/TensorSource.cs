using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Safetensors;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Data;

/// <summary>A safetensors file with <c>input</c> [rows, …] and optionally <c>target</c> [rows, …], as batches of rows.</summary>
/// <remarks>Real numbers come out as float32 and integers as int64. Rows are read when their batch is asked for.</remarks>
public sealed class TensorSource : DataSource
{
    /// <summary>Rows a batch.</summary>
    public const int BatchRows = 64;

    private const string Input = "input";
    private const string Target = "target";

    private readonly int samples;

    private TensorSource(int samples) => this.samples = samples;

    /// <summary>How many rows the file has.</summary>
    public required long RowCount { get; init; }

    /// <summary>Opens and checks a file; its tensors are not read yet.</summary>
    /// <param name="path">The file.</param>
    /// <param name="samples">How many rows calibration takes, evenly spread; 0 takes all.</param>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012, PDSL3002: the file is not there, cannot be read or is damaged. PDSL3005: its tensors are not what data needs.</exception>
    public static TensorSource Open(string path, int samples)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        using var file = SafetensorsFile.Open(path);
        if (!file.Contains(Input))
        {
            throw Broken(path, $"holds no tensor '{Input}' (it holds: {string.Join(", ", file.Names.Take(10))}); name the inputs '{Input}' and what they are measured against '{Target}'");
        }

        long rows = RowsOf(file, Input);
        if (rows == 0)
        {
            throw Broken(path, $"has no rows in '{Input}'; give at least one");
        }

        return !file.Contains(Target) || RowsOf(file, Target) == rows
            ? new TensorSource(samples) { Path = path, RowCount = rows }
            : throw Broken(path, $"has {rows} rows of '{Input}' but {RowsOf(file, Target)} of '{Target}'; give one target a row");
    }

    /// <inheritdoc/>
    public override IEnumerable<Batch> CalibrationBatches() => Batches(Spread(RowCount, samples));

    /// <inheritdoc/>
    public override IEnumerable<Batch> EvaluationBatches() => Batches(Spread(RowCount, 0));

    /// <summary>Some rows as one batch; the caller owns it.</summary>
    /// <param name="rows">Their places.</param>
    public Batch Rows(long[] rows)
    {
        using var file = SafetensorsFile.Open(Path);
        return Rows(file, rows);
    }

    private IEnumerable<Batch> Batches(IEnumerable<long> rows)
    {
        using var file = SafetensorsFile.Open(Path);
        foreach (long[] chunk in rows.Chunk(BatchRows))
        {
            yield return Rows(file, chunk);
        }
    }

    private static Batch Rows(SafetensorsFile file, long[] rows) => new(Read(file, Input, rows), file.Contains(Target) ? Read(file, Target, rows) : null);

    private static Tensor Read(SafetensorsFile file, string name, long[] rows)
    {
        using var scope = NewDisposeScope();
        bool neighbours = rows.Index().All(row => row.Item == rows[0] + row.Index);
        var read = neighbours ? file.ReadRows(name, rows[0], rows.Length) : cat([.. rows.Select(row => file.ReadRows(name, row, 1))]);
        return read.to(read.is_floating_point() ? float32 : int64).DetachFromDisposeScope();
    }

    private static long RowsOf(SafetensorsFile file, string name) => file.Info(name) is { Shape: [var rows, ..], Type.Torch: not null }
        ? rows
        : throw Broken(file.Path, $"has a tensor '{name}' that is a scalar or of dtype {file.Info(name).Type}; give it rows of a dtype that the tensor library has");

    private static PipelineException Broken(string path, string reason) => new(DiagnosticIds.BrokenData, $"'{path}' {reason}", path);
}
