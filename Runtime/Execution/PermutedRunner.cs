using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Execution;

/// <summary>W[:, order[j]] = W'[:, j]: inputs are put in order first.</summary>
internal sealed class PermutedRunner : WeightRunner
{
    private readonly WeightRunner inner;

    /// <param name="order">Where each column of W' belongs [columns] int32, copied.</param>
    /// <param name="inner">W'.</param>
    public PermutedRunner(Tensor order, WeightRunner inner)
        : base(nameof(PermutedRunner))
    {
        this.inner = Keep("inner", inner);
        Keep("order", order);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var ordered = x.index_select(-1, get_buffer("order")!);
        return inner.forward(ordered);
    }
}
