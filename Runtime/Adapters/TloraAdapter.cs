using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>W T + s Δ. Neither T nor Δ is formed in training.</summary>
/// <param name="step">The scaling and the form of the residual.</param>
/// <param name="baseWeight">[units, inputs].</param>
/// <param name="transform">Cores of T [I_d, I_d, R_t, R_t], or none.</param>
/// <param name="inputs">A [R, inputs], or cores [I_d, R, R], or none.</param>
/// <param name="outputs">B [units, R], or cores [O_d, R, R], or cores of both [O_d, I_d, R, R].</param>
internal sealed class TloraAdapter(Tlora step, Tensor baseWeight, IReadOnlyList<Tensor> transform, IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> outputs)
    : Adapter(LayerOperation.Linear, baseWeight)
{
    /// <inheritdoc/>
    public override IReadOnlyList<(string Name, Tensor Value)> Parameters { get; } =
        [.. transform.Select((core, place) => ($"T{place}", core)), .. Named("A", inputs), .. Named("B", outputs)];

    /// <inheritdoc/>
    public override bool IsAdditive => transform.Count == 0;

    /// <inheritdoc/>
    private protected override Tensor Compute(Tensor x, Func<Tensor, Tensor> product)
    {
        var wide = x.to(outputs[0].dtype);
        var frozen = product(transform.Count == 0 ? x : RingMatrix.Apply(transform, wide).to(x.dtype));
        var residual = step.Residual == TloraResidual.RingMatrix
            ? RingMatrix.Apply(outputs, wide).mul(step.Scaling)
            : nn.functional.linear(nn.functional.linear(wide, Right()).mul(step.Scaling), Left());
        return frozen + residual.to(frozen.dtype);
    }

    /// <inheritdoc/>
    private protected override Tensor Combine(Tensor weight) => (transform.Count == 0 ? weight : weight.mm(RingMatrix.Contract(transform))) + Change();

    /// <inheritdoc/>
    /// <remarks>Fails where the transform has become singular: such an adapter has lost what it merged into.</remarks>
    private protected override Tensor Separate(Tensor merged)
    {
        var transformed = merged - Change();
        return transform.Count == 0 ? transformed : linalg.solve(RingMatrix.Contract(transform).to(float64).mT, transformed.to(float64).mT).mT.to(merged.dtype);
    }

    /// <inheritdoc/>
    private protected override LowRankDelta? LowRank() => transform.Count == 0 && step.Residual != TloraResidual.RingMatrix ? new(Right(), Left(), step.Scaling) : null;

    private static IEnumerable<(string Name, Tensor Value)> Named(string name, IReadOnlyList<Tensor> values) =>
        values.Count == 1 ? [(name, values[0])] : values.Select((value, place) => ($"{name}{place}", value));

    private Tensor Change() => (step.Residual == TloraResidual.RingMatrix ? RingMatrix.Contract(outputs) : Left().mm(Right())).mul(step.Scaling);

    /// <summary>What multiplies inputs [R or R², inputs]: trace(B C) = Σ B[a, b] C[b, a].</summary>
    private Tensor Right() => step.Residual == TloraResidual.Lora ? inputs[0] : Chain(inputs).permute(2, 1, 0).reshape(-1, BaseShape[1]);

    /// <summary>What multiplies that [units, R or R²].</summary>
    private Tensor Left() => step.Residual == TloraResidual.Lora ? outputs[0] : Chain(outputs).reshape(BaseShape[0], -1);

    /// <summary>The products C¹[i₁] ⋯ C^D[i_D] for all indices [∏ I, R, R].</summary>
    private static Tensor Chain(IReadOnlyList<Tensor> cores)
    {
        var chain = cores[0];
        foreach (var core in cores.Skip(1))
        {
            chain = einsum("pab,ibc->piac", chain, core).reshape(-1, chain.shape[1], core.shape[2]);
        }

        return chain;
    }
}
