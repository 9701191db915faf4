using PipelineDsl.Runtime.Data;

namespace PipelineDsl.Runtime.Training;

/// <summary>The rows of a safetensors file with <c>input</c> and <c>target</c>, each an example.</summary>
/// <param name="source">The file.</param>
public sealed class TensorExamples(TensorSource source) : TrainingData
{
    /// <inheritdoc/>
    public override int Count => checked((int)source.RowCount);

    /// <inheritdoc/>
    public override Batch Read(IReadOnlyList<int> examples) => source.Rows([.. examples.Select(example => (long)example)]);
}
