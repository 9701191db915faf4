using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Training;

namespace PipelineDsl.Runtime.Data;

/// <summary>A recipe's data file, opened: where the default batches come from.</summary>
public abstract class DataSource
{
    /// <summary>The file.</summary>
    public required string Path { get; init; }

    /// <summary>Opens a data file: <c>.safetensors</c> as tensors, <c>.jsonl</c> as records of which the answers are scored, anything else as text.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tokenizerPath">Where the model's tokenizer should be; only text needs it.</param>
    /// <param name="samples">How many samples calibration takes; 0 takes all.</param>
    /// <param name="sequenceLength">Tokens a window, for text.</param>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012: the file is not there or cannot be read. PDSL3002, PDSL3004: it or the tokenizer is damaged. PDSL3005: it cannot serve as data; the message says why.</exception>
    public static DataSource Open(string path, string? tokenizerPath, int samples, int sequenceLength)
    {
        if (System.IO.Path.GetExtension(path).Equals(".safetensors", StringComparison.OrdinalIgnoreCase))
        {
            return TensorSource.Open(path, samples);
        }

        if (System.IO.Path.GetExtension(path).Equals(".jsonl", StringComparison.OrdinalIgnoreCase))
        {
            return RecordSource.Open(path, tokenizerPath, samples, sequenceLength);
        }

        return File.Exists(tokenizerPath)
            ? TextSource.Open(path, Tokenizer.Open(tokenizerPath), samples, sequenceLength)
            : throw new PipelineException(
                DiagnosticIds.BrokenData,
                $"'{path}' is text, which needs the model's tokenizer, and there is none {(tokenizerPath is null ? "beside the weights" : $"at '{tokenizerPath}'")}; put tokenizer.json beside the weights or name it as the recipe's 'tokenizer'",
                path);
    }

    /// <summary>The batches that statistics are collected on.</summary>
    public abstract IEnumerable<Batch> CalibrationBatches();

    /// <summary>The batches that quality is measured on.</summary>
    public abstract IEnumerable<Batch> EvaluationBatches();

    /// <summary>Picks <paramref name="samples"/> of <paramref name="count"/> places, evenly spread; 0 or more than there are picks all.</summary>
    private protected static IEnumerable<long> Spread(long count, int samples)
    {
        long taken = samples == 0 ? count : Math.Min(samples, count);
        for (long i = 0; i < taken; i++)
        {
            yield return i * count / taken;
        }
    }
}
