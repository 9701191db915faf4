using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Fits the zero points of a uniform grid to the weight alone, in a norm that forgives outliers (HQQ, half-quadratic quantisation).</summary>
public sealed class Hqq : Quantize
{
    /// <summary>Real zero points, as published.</summary>
    public Hqq() => Symmetric = false;

    /// <summary>p of the norm Σ |error|^p.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double Norm { get; set; } = 0.7;

    /// <summary>β of the shrinkage: the larger, the fewer errors count as outliers.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double Beta { get; set; } = 10;

    /// <summary>The most iterations; fewer where the error no longer falls.</summary>
    [Within(1, int.MaxValue)]
    public int Iterations { get; set; } = 20;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (Symmetric)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Symmetric), "'hqq' fits zero points, which a symmetric grid does not have; drop 'symmetric' or use 'quantize'");
        }

        if (Granularity == Granularity.Tensor)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Granularity), "'hqq' has one scale a group or row; use 'granularity: channel' or 'quantize'");
        }

        foreach (var problem in base.Check(layer, given))
        {
            yield return problem;
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) => [.. base.Predict(layer, factors).Zip(factors, (cost, factor) =>
        factor.IsVector ? cost : cost with { Bytes = cost.Bytes + Groups(factor) * ((ScaleType == ScaleType.Float32 ? 4 : 2) - 1) })];

    private long Groups(MatrixCost factor) => Granularity == Granularity.Channel ? factor.Rows : factor.Rows * ((factor.Columns + GroupSize - 1) / GroupSize);
}
