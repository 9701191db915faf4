namespace PipelineDsl.Cli.Inspection;

/// <summary>A tensor as a file describes it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Dtype">Its element type, as the format names it.</param>
/// <param name="Shape">Its shape; of GGUF as PyTorch has it, the slowest dimension first.</param>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Statistics">What its values are like, where that was asked for and can be told.</param>
internal sealed record InspectedTensor(string Name, string Dtype, IReadOnlyList<long> Shape, long Bytes, TensorStatistics? Statistics = null)
{
    /// <summary>How many values it has.</summary>
    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);
}
