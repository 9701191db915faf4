using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Export;

/// <summary>A compressed layer as exporters see it; its tensors stay the run's.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Kind">Its kind.</param>
/// <param name="Shape">The shape of its weight tensor.</param>
/// <param name="Type">The element type of its original weight.</param>
/// <param name="Weight">Its compressed weight.</param>
internal sealed record ExportLayer(string Path, LayerKinds Kind, IReadOnlyList<long> Shape, ElementType Type, Expression Weight)
{
    /// <summary>The name of its weight tensor.</summary>
    public string WeightName => Path + ".weight";

    /// <summary>Its weight as plain floats in the original dtype.</summary>
    public PendingTensor Floats => new(WeightName, Type, Shape, () => Materialize(Type.Torch!.Value));

    /// <summary>Its weight as plain floats in its own shape; the caller owns them.</summary>
    public Tensor Materialize(ScalarType type)
    {
        using var scope = NewDisposeScope();
        return Weight.Materialize().reshape([.. Shape]).to(type).MoveToOuterDisposeScope();
    }
}
