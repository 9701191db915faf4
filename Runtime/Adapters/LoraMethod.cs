using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Starts <see cref="Lora"/>.</summary>
public sealed class LoraMethod : AdapterMethod<Lora>
{
    /// <summary>An adapter of a linear layer whose factors a decomposition made (CorDA, LQ-LoRA); what it left of the weight is the base.</summary>
    /// <param name="step">The scaling, of rank r.</param>
    /// <param name="residual">The frozen weight [units, inputs], shared and still the caller's.</param>
    /// <param name="a">A [r, inputs], copied.</param>
    /// <param name="b">B [units, r], copied.</param>
    /// <returns>The adapter; the caller owns it.</returns>
    public static Adapter Attach(Lora step, Tensor residual, Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        return Attach(step, residual.detach(), null, a, b);
    }

    /// <summary>An adapter of a linear layer that a solver has started: a sum of a base of any form, which stays as it is, and one product of thin factors (<see cref="Corda"/> as adapter, <see cref="LqLora"/>).</summary>
    /// <param name="solved">The weight; shared and still the caller's.</param>
    /// <returns>The adapter, which computes what the weight does; the caller owns it. Null where the weight is no such sum.</returns>
    public static Adapter? Attach(Expression solved)
    {
        if (solved is not Sum { Parts: [var kept, var factors] })
        {
            return null;
        }

        double scaling = factors is Scaled { RowScales: null, ColumnScales: null } scaled ? scaled.Factor : 1;
        if ((factors is Scaled { RowScales: null, ColumnScales: null, Inner: var inner } ? inner : factors) is not Product product)
        {
            return null;
        }

        using var scope = NewDisposeScope();
        using var frozen = FrozenWeight.Of(kept);
        int rank = (int)product.Left.Columns;
        return Attach(new Lora { Rank = rank, Alpha = scaling * rank }, frozen.Dense(), frozen, product.Right.Materialize(), product.Left.Materialize());
    }

    /// <summary>An adapter of scaling 1 whose factors are there already, beside a weight of any form that stays as it is.</summary>
    /// <param name="weight">The frozen weight [units, inputs]; shared and still the caller's.</param>
    /// <param name="a">A [r, inputs], copied.</param>
    /// <param name="b">B [units, r], copied.</param>
    internal static Adapter Beside(Expression weight, Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var form = FrozenWeight.Of(weight);
        var dense = form.Dense();
        var type = TrainedType(dense);
        int rank = (int)a.shape[0];
        var adapter = new LoraAdapter(new() { Rank = rank, Alpha = rank }, LayerOperation.Linear, dense, a.detach().to(type, copy: true), b.detach().to(type, copy: true), changesBase: false);
        adapter.Own(dense, form);
        return adapter;
    }

    private protected override Adapter Begin(Lora step, Tensor weight, LayerOperation operation, Generator generator)
    {
        var matrix = operation.Matrix(weight);
        var (units, inputs) = (matrix.shape[0], matrix.shape[1]);
        if (step.SplitsWeight)
        {
            var (left, right) = step.Start == LoraStart.Pissa ? LeadingDirections(matrix.to(float64), step) : FirstColumns(matrix.to(float64), step.Rank);
            var (b, a) = (left.to(TrainedType(weight), copy: true), right.to(TrainedType(weight), copy: true));
            return new LoraAdapter(step, operation, (Wide(weight) - b.mm(a).mul(step.Scaling)).to(weight.dtype), a, b, changesBase: true);
        }

        if (operation == LayerOperation.Lookup)
        {
            return new LoraAdapter(step, operation, weight, Zero([step.Rank, inputs], weight), Normal([units, step.Rank], 1, weight, generator), changesBase: false);
        }

        long[] shape = [step.Rank, .. weight.shape[1..]];
        var start = step.Start == LoraStart.Uniform ? Uniform(shape, 1 / Math.Sqrt(inputs), weight, generator) : Normal(shape, 1.0 / step.Rank, weight, generator);
        return new LoraAdapter(step, operation, weight, start, Zero([units, step.Rank], weight), changesBase: false);
    }

    private static LoraAdapter Attach(Lora step, Tensor residual, FrozenWeight? form, Tensor a, Tensor b)
    {
        using var noGradients = no_grad();
        var type = TrainedType(residual);
        var adapter = new LoraAdapter(step, LayerOperation.Linear, residual, a.detach().to(type, copy: true), b.detach().to(type, copy: true), changesBase: true);
        adapter.Own(residual, form);
        return adapter;
    }

    /// <summary>U √(S / s) and √(S / s) Vᵀ of the leading singular values.</summary>
    private static (Tensor Left, Tensor Right) LeadingDirections(Tensor weight, Lora step)
    {
        var (u, s, vt) = linalg.svd(weight, fullMatrices: false);
        var left = u.narrow(1, 0, step.Rank);
        var share = s.narrow(0, 0, step.Rank).div(step.Scaling).sqrt();
        var sign = SignGauge.Of(left);
        return (left.mul(share).mul(sign), vt.narrow(0, 0, step.Rank).mul(share.mul(sign).unsqueeze(1)));
    }

    /// <summary>Q's first columns and R's first rows.</summary>
    private static (Tensor Left, Tensor Right) FirstColumns(Tensor weight, int rank)
    {
        var (q, r) = linalg.qr(weight);
        var left = q.narrow(1, 0, rank);
        var sign = SignGauge.Of(left);
        return (left.mul(sign), r.narrow(0, 0, rank).mul(sign.unsqueeze(1)));
    }
}
