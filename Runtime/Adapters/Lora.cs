using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>A low-rank change s B A beside the frozen weight: LoRA (arXiv:2106.09685), rsLoRA (2312.03732), DoRA (2402.09353), PiSSA (2404.02948) and OLoRA (2406.01775).</summary>
public sealed record Lora : AdapterMethod
{
    /// <summary>The rank r.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>The numerator of the scaling: s = alpha / r.</summary>
    public double Alpha { get; init; } = 8;

    /// <summary>Whether s = alpha / √r, so that updates do not shrink as the rank grows.</summary>
    public bool RankStabilized { get; init; }

    /// <summary>Whether the norm of each unit's weights is trained apart from their direction (DoRA).</summary>
    public bool WeightDecomposed { get; init; }

    /// <summary>Where the factors start.</summary>
    public LoraStart Start { get; init; }

    /// <summary>s.</summary>
    public double Scaling => Alpha / (RankStabilized ? Math.Sqrt(Rank) : Rank);

    /// <summary>An adapter of a linear layer whose factors a decomposition made (CorDA, LQ-LoRA); what it left of the weight is the base.</summary>
    /// <param name="residual">The frozen weight [units, inputs], shared and still the caller's.</param>
    /// <param name="a">A [r, inputs], copied.</param>
    /// <param name="b">B [units, r], copied.</param>
    /// <returns>The adapter; the caller owns it.</returns>
    public Adapter Attach(Tensor residual, Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var adapter = new LoraAdapter(this, LayerOperation.Linear, residual.detach(), a.detach().to(TrainedType(residual), copy: true), b.detach().to(TrainedType(residual), copy: true), changesBase: true);
        adapter.Own();
        return adapter;
    }

    private protected override Adapter Begin(Tensor weight, LayerOperation operation, Generator generator)
    {
        var matrix = operation.Matrix(weight);
        var (units, inputs) = (matrix.shape[0], matrix.shape[1]);
        RequireRank(Rank, Math.Min(units, inputs), "rank");
        if (Start is LoraStart.Pissa or LoraStart.Olora)
        {
            RequireLinear(operation);
            var (left, right) = Start == LoraStart.Pissa ? LeadingDirections(matrix.to(float64)) : FirstColumns(matrix.to(float64));
            var (b, a) = (left.to(TrainedType(weight), copy: true), right.to(TrainedType(weight), copy: true));
            return new LoraAdapter(this, operation, (Wide(weight) - b.mm(a).mul(Scaling)).to(weight.dtype), a, b, changesBase: true);
        }

        if (operation == LayerOperation.Lookup)
        {
            return new LoraAdapter(this, operation, weight, Zero([Rank, inputs], weight), Normal([units, Rank], 1, weight, generator), changesBase: false);
        }

        long[] shape = [Rank, .. weight.shape[1..]];
        var start = Start == LoraStart.Uniform ? Uniform(shape, 1 / Math.Sqrt(inputs), weight, generator) : Normal(shape, 1.0 / Rank, weight, generator);
        return new LoraAdapter(this, operation, weight, start, Zero([units, Rank], weight), changesBase: false);
    }

    /// <summary>U √(S / s) and √(S / s) Vᵀ of the leading singular values.</summary>
    private (Tensor Left, Tensor Right) LeadingDirections(Tensor weight)
    {
        var (u, s, vt) = linalg.svd(weight, fullMatrices: false);
        var left = u.narrow(1, 0, Rank);
        var share = s.narrow(0, 0, Rank).div(Scaling).sqrt();
        var sign = SignGauge.Of(left);
        return (left.mul(share).mul(sign), vt.narrow(0, 0, Rank).mul(share.mul(sign).unsqueeze(1)));
    }

    /// <summary>Q's first columns and R's first rows.</summary>
    private (Tensor Left, Tensor Right) FirstColumns(Tensor weight)
    {
        var (q, r) = linalg.qr(weight);
        var left = q.narrow(1, 0, Rank);
        var sign = SignGauge.Of(left);
        return (left.mul(sign), r.narrow(0, 0, Rank).mul(sign.unsqueeze(1)));
    }
}
