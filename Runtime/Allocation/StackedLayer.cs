namespace PipelineDsl.Runtime.Allocation;

/// <summary>A layer whose weight is a stack of blocks of one size.</summary>
/// <param name="Path">Its path in the model.</param>
/// <param name="Blocks">How many blocks there are; the first is always in use.</param>
/// <param name="BytesPerBlock">What each of them takes.</param>
public sealed record StackedLayer(string Path, int Blocks, long BytesPerBlock);
