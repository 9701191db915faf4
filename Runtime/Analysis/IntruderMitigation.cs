using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Analysis;

/// <summary>Scales intruder dimensions down to win back what the base model knew (arXiv:2410.21228): W' = W + (λ − 1) Σ S_j u_j v_jᵀ over the intruders.</summary>
/// <remarks>
/// λ is what remains of a singular value; the help text of peft says the opposite of its code, which does the same. Whether the directions matter, or only the size of what was taken away,
/// shows in a comparison with <see cref="Control"/>.
/// </remarks>
public sealed record IntruderMitigation
{
    /// <summary>The factor on the intruders' singular values, at least 0: 1 changes nothing, 0 removes them. 0.75 is the default of peft.</summary>
    public double Lambda { get; init; } = 0.75;

    /// <summary>The edited weight.</summary>
    /// <param name="tuned">W [m, n], in which the intruders were found.</param>
    /// <param name="findings">The intruders.</param>
    /// <returns>W' in the dtype of W, the same numbers where there is no intruder or λ is 1; the caller owns it.</returns>
    /// <exception cref="InvalidOperationException">λ is negative or no number.</exception>
    public Tensor Apply(Tensor tuned, IntruderFindings findings)
    {
        using var scope = NewDisposeScope();
        return Changes(findings)
            ? (tuned.detach().to(float64) + Change(tuned, findings).Multiply()).to(tuned.dtype).MoveToOuterDisposeScope()
            : tuned.detach().clone().MoveToOuterDisposeScope();
    }

    /// <summary>The edited adapter without loss: rank r + #intruders and scaling 1, B' = [s B, (λ − 1) U S], A' = [A; Vᵀ].</summary>
    /// <param name="baseWeight">W0 [m, n].</param>
    /// <param name="adapter">B [m, r] and A [r, n].</param>
    /// <param name="scaling">s of the merged weight W0 + s B A.</param>
    /// <param name="findings">The intruders of the merged weight.</param>
    /// <returns>W' − W0 in float64, in the caller's dispose scope.</returns>
    /// <exception cref="InvalidOperationException">λ is negative or no number.</exception>
    public FactorPair ApplyExactly(Tensor baseWeight, FactorPair adapter, double scaling, IntruderFindings findings)
    {
        using var scope = NewDisposeScope();
        var exact = Exact(adapter);
        var scaled = exact with { B = exact.B * scaling };
        if (!Changes(findings))
        {
            return (scaled with { A = scaled.A.clone() }).MoveToOuterDisposeScope();
        }

        var change = Change(baseWeight.detach().to(float64) + scaled.Multiply(), findings);
        return new FactorPair(cat([scaled.B, change.B], 1), cat([scaled.A, change.A], 0)).MoveToOuterDisposeScope();
    }

    /// <summary>The edited adapter in its own rank and scaling, as peft stores it: the best s B' A' of rank r, with √S in both factors. It loses a part of the edit.</summary>
    /// <param name="baseWeight">W0 [m, n].</param>
    /// <param name="adapter">B [m, r] and A [r, n].</param>
    /// <param name="scaling">s, not 0.</param>
    /// <param name="findings">The intruders of the merged weight.</param>
    /// <returns>Float64, in the caller's dispose scope.</returns>
    /// <exception cref="ArgumentException">The scaling is 0.</exception>
    /// <exception cref="InvalidOperationException">λ is negative or no number.</exception>
    public FactorPair ApplyInRank(Tensor baseWeight, FactorPair adapter, double scaling, IntruderFindings findings)
    {
        if (scaling == 0)
        {
            throw new ArgumentException("an adapter of scaling 0 can hold no edit", nameof(scaling));
        }

        using var scope = NewDisposeScope();
        var update = ApplyExactly(baseWeight, adapter, scaling, findings);
        var (left, values, right) = (update with { B = update.B / scaling }).SingularComponents();
        long rank = Math.Min(adapter.A.shape[0], values.shape[0]);
        var root = values.narrow(0, 0, rank).sqrt();
        return new FactorPair(left.narrow(1, 0, rank) * root, (right.narrow(1, 0, rank) * root).mT).MoveToOuterDisposeScope();
    }

    /// <summary>The control: the whole update scaled to the size that the edited one has, W0 + c (W − W0) with c = ‖W' − W0‖ / ‖W − W0‖.</summary>
    /// <remarks>An edit that is no better than this one at tasks and at the base model's loss owes its effect to the smaller norm, not to the directions.</remarks>
    /// <param name="baseWeight">W0 [m, n].</param>
    /// <param name="tuned">W [m, n].</param>
    /// <param name="findings">The intruders of W.</param>
    /// <returns>The control's weight in the dtype of W, which the caller owns, and c; W itself and 1 where nothing would be edited.</returns>
    /// <exception cref="InvalidOperationException">λ is negative or no number, or W is W0: there is no update to scale.</exception>
    public (Tensor Weight, double Factor) Control(Tensor baseWeight, Tensor tuned, IntruderFindings findings)
    {
        using var scope = NewDisposeScope();
        if (!Changes(findings))
        {
            return (tuned.detach().clone().MoveToOuterDisposeScope(), 1);
        }

        var before = baseWeight.detach().to(float64);
        var update = tuned.detach().to(float64) - before;
        double size = Norm(update);
        if (size == 0)
        {
            throw new InvalidOperationException("the weight is the base weight: there is no update to scale");
        }

        double factor = Norm(update + Change(tuned, findings).Multiply()) / size;
        return ((before + (factor * update)).to(tuned.dtype).MoveToOuterDisposeScope(), factor);
    }

    private bool Changes(IntruderFindings findings) => Lambda >= 0 && double.IsFinite(Lambda)
        ? findings.Count > 0 && Lambda != 1
        : throw new InvalidOperationException($"lambda {Lambda} is what remains of a singular value: use a number from 0");

    /// <summary>(λ − 1) Σ S_j u_j v_jᵀ as factors with orthonormal vectors on the side that was compared.</summary>
    /// <remarks>U S Vᵀ = U Uᵀ W, and W V Vᵀ on the other side: the vectors of one side are enough.</remarks>
    /// <param name="tuned">W [m, n], in which the intruders were found.</param>
    /// <param name="findings">The intruders.</param>
    /// <returns>B [m, #intruders] and A [#intruders, n] in float64, in the caller's dispose scope.</returns>
    public FactorPair Change(Tensor tuned, IntruderFindings findings)
    {
        var weight = tuned.detach().to(float64);
        var directions = findings.Directions;
        return findings.Settings.Side == SingularSide.Left
            ? new(directions * (Lambda - 1), directions.mT.mm(weight))
            : new(weight.mm(directions) * (Lambda - 1), directions.mT);
    }

    private static FactorPair Exact(FactorPair adapter) => new(adapter.B.detach().to(float64), adapter.A.detach().to(float64));

    private static double Norm(Tensor matrix) => matrix.norm().item<double>();
}
