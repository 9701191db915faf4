using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>W = L R: first R, then L.</summary>
internal sealed class ProductRunner : WeightRunner
{
    private readonly WeightRunner left;
    private readonly WeightRunner right;

    public ProductRunner(WeightRunner left, WeightRunner right)
        : base(nameof(ProductRunner)) => (this.left, this.right) = (Keep("left", left), Keep("right", right));

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var inner = right.forward(x);
        return left.forward(inner);
    }
}
