namespace PipelineDsl.Runtime.Formats.Safetensors;

/// <summary>What a header says about a tensor.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its shape; empty for a scalar.</param>
/// <param name="Offset">Where its bytes start in the data buffer.</param>
/// <param name="ByteCount">How many bytes it has.</param>
public sealed record TensorInfo(string Name, ElementType Type, IReadOnlyList<long> Shape, long Offset, long ByteCount);
