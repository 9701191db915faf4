using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Optimization;

/// <summary>Tensors that are trained by one rule.</summary>
/// <param name="Rule">The rule and its learning rate.</param>
/// <param name="Tensors">Leaves that require gradients, owned by whoever made the group. One that a step's loss does not depend on stays as it is.</param>
public sealed record TrainableGroup(UpdateRule Rule, IReadOnlyList<Tensor> Tensors);
