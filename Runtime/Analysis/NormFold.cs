using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>A norm that was folded into the weights of a head.</summary>
/// <param name="Stored">The head before, as the model stores it.</param>
/// <param name="Gain">[D], the norm's gain.</param>
public sealed record NormFold(AttentionHead Stored, Tensor Gain);
