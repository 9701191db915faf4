using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Training;

/// <summary>Numbers that are trained.</summary>
/// <param name="Name">Their name, unique in a run: <c>model.layers.0.q_proj.A</c>.</param>
/// <param name="Value">A leaf that requires gradients; still its owner's. Matrices are decayed, vectors are not.</param>
public sealed record TrainedTensor(string Name, Tensor Value);
