using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W (I + D) + D by blocks. The new weight is formed at each pass: there is no cheaper way, for each block of outputs has an input of its own.</summary>
/// <param name="baseWeight">[units, inputs].</param>
/// <param name="block">[units / r, r, r].</param>
internal sealed class BatAdapter(Tensor baseWeight, Tensor block) : Adapter(LayerOperation.Linear, baseWeight)
{
    private readonly Tensor block = block;

    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters => [("block", block)];

    /// <inheritdoc/>
    public override bool IsAdditive => false;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product) =>
        Operation.Apply(x.to(block.dtype), Combine(BaseWeight.to(block.dtype))).to(x.dtype);

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => weight + Rows(weight).bmm(block).reshape(weight.shape) + Repeated(weight);

    /// <inheritdoc/>
    /// <remarks>Fails where an I + D is singular: such an adapter has lost what it merged into.</remarks>
    private protected override Tensor Separate(Tensor merged)
    {
        var factor = (eye(block.shape[1], dtype: float64, device: block.device) + block.to(float64)).mT;
        var rows = Rows((merged - Repeated(merged)).to(float64));
        return linalg.solve(factor, rows.mT).mT.reshape(merged.shape).to(merged.dtype);
    }

    /// <summary>Each output's shards as rows [units / r, r · shards, r].</summary>
    private Tensor Rows(Tensor weight) => weight.reshape(block.shape[0], -1, block.shape[1]);

    /// <summary>Each D beside itself [units, inputs].</summary>
    private Tensor Repeated(Tensor weight) => block.reshape(weight.shape[0], -1).repeat(1, weight.shape[1] / block.shape[1]);
}
