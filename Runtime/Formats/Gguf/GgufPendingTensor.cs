namespace PipelineDsl.Runtime.Formats.Gguf;

/// <summary>A tensor to write whose data is made only when its turn comes.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Dimensions">Its dimensions, the fastest first.</param>
/// <param name="Write">Writes exactly its bytes.</param>
internal sealed record GgufPendingTensor(string Name, GgmlType Type, IReadOnlyList<long> Dimensions, Action<Stream> Write);
