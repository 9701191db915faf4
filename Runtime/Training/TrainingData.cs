using PipelineDsl.Runtime.Data;

namespace PipelineDsl.Runtime.Training;

/// <summary>Examples to train or to evaluate on, each of one sequence or row.</summary>
public abstract class TrainingData
{
    /// <summary>How many examples there are; at least one.</summary>
    public abstract int Count { get; }

    /// <summary>Some examples as one batch; the caller owns it.</summary>
    /// <param name="examples">Their places.</param>
    public abstract Batch Read(IReadOnlyList<int> examples);
}
