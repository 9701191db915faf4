using PipelineDsl.Runtime.Data;

namespace PipelineDsl.Runtime.Training;

/// <summary>A file of JSON lines, prompts and answers or chats, as batches of one example each; only what is to be learnt is scored.</summary>
public sealed class RecordSource : DataSource
{
    private readonly TrainingData data;
    private readonly int samples;

    private RecordSource(TrainingData data, int samples)
    {
        this.data = data;
        this.samples = samples;
    }

    /// <summary>Reads and tokenises a file.</summary>
    /// <param name="path">UTF-8 text, a record a line.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="samples">How many examples calibration takes, evenly spread; 0 takes all.</param>
    /// <param name="sequenceLength">The most tokens of an example; what is longer is cut.</param>
    /// <exception cref="Diagnostics.PipelineException">As <see cref="TrainingDataReader.Read"/>.</exception>
    public static new RecordSource Open(string path, string? tokenizer, int samples, int sequenceLength) =>
        new(new TrainingDataReader(new("") { Packing = false, SequenceLength = sequenceLength }, tokenizer, _ => { }).Read(path), samples) { Path = path };

    /// <inheritdoc/>
    public override IEnumerable<Batch> CalibrationBatches() => Spread(data.Count, samples).Select(example => data.Read([(int)example]));

    /// <inheritdoc/>
    public override IEnumerable<Batch> EvaluationBatches() => Spread(data.Count, 0).Select(example => data.Read([(int)example]));
}
