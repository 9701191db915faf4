using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>
/// Gives every row a table of 2^bits values that the loss is least sensitive to, and keeps outliers and the most sensitive weights as they are (SqueezeLLM, arXiv:2306.07629).
/// </summary>
public sealed class SqueezeLlm : FewBits
{
    private const int FloatBytes = 4;
    private const int HalfBytes = 2;

    /// <summary>The share of all weights that is kept as it is: the most sensitive ones, then the largest ones. 0 keeps none.</summary>
    [Within(0, 0.5)]
    public double SparseFraction { get; set; } = 0.0045;

    /// <summary>The share of all weights that is kept because the loss is most sensitive to them; part of <see cref="SparseFraction"/>.</summary>
    [Within(0, 0.5)]
    public double SensitiveFraction { get; set; } = 0.0005;

    /// <summary>
    /// In place of <see cref="SparseFraction"/>, as the official code has it: kept are the sensitive weights and those further from the quartiles than so many interquartile ranges.
    /// 0 leaves it to <see cref="SparseFraction"/>.
    /// </summary>
    [Within(0, 100, ExclusiveMinimum = true)]
    public double OutlierRange { get; set; }

    /// <summary>Whether weights count as much as the loss is sensitive to them; otherwise all count the same, and no calibration data is needed.</summary>
    public bool Weighted { get; set; } = true;

    /// <summary>How tables are found.</summary>
    public TableSolver Solver { get; set; }

    /// <summary>The largest number of rounds of <see cref="TableSolver.Lloyd"/>.</summary>
    [Within(1, int.MaxValue)]
    public int Iterations { get; set; } = 50;

    /// <summary>How tables are stored; codes are computed with the stored values.</summary>
    public ScaleType TableType { get; set; }

    /// <summary>How the weights that are kept are stored.</summary>
    public ScaleType SparseType { get; set; } = ScaleType.Float32;

    /// <summary>Whether weights that are zero count like others; officially tables are found without them.</summary>
    public Parity Parity { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override StatisticKinds Needs => Weighted ? StatisticKinds.FisherDiagonal : StatisticKinds.None;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (OutlierRange > 0 && given.Contains(nameof(SparseFraction)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(OutlierRange), "'sparseFraction' and 'outlierRange' both choose what is kept; keep one of them");
        }
        else if (OutlierRange == 0 && given.Contains(nameof(SensitiveFraction)) && SensitiveFraction > SparseFraction)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(SensitiveFraction),
                FormattableString.Invariant($"'sensitiveFraction' {SensitiveFraction} is a part of 'sparseFraction' {SparseFraction} and cannot be more; lower it or raise 'sparseFraction'"));
        }

        if (!Weighted && SensitiveFraction > 0 && given.Contains(nameof(SensitiveFraction)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(SensitiveFraction), "'sensitiveFraction' has no meaning with 'weighted: false'; drop one of them");
        }

        if (Solver == TableSolver.Exact && given.Contains(nameof(Iterations)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Iterations), "'iterations' has no meaning with 'solver: exact', which does not iterate; drop it or say 'solver: lloyd'");
        }
    }

    /// <inheritdoc/>
    /// <remarks>Exact for <see cref="SparseFraction"/>; with <see cref="OutlierRange"/> an estimate, as if weights were normal: heavier tails keep more.</remarks>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        [.. factors.Select(factor => factor.IsVector ? factor : factor with { Bytes = BytesFor(factor.Rows, factor.Columns, KeptOf(factor.Rows * factor.Columns)) })];

    /// <summary>How many of so many weights a share is.</summary>
    public static long CountOf(double share, long weights) => (long)Math.Floor(share * weights * (1 + 1e-12));

    /// <summary>Exact bytes of a matrix: packed codes, a table a row and, unless nothing is kept, the kept weights with their places.</summary>
    public long BytesFor(long rows, long columns, long kept)
    {
        long codes = rows * ((columns * Bits + 7) / 8);
        long tables = rows * (1L << Bits) * BytesOf(TableType);
        return codes + tables + (kept == 0 ? 0 : (kept * (BytesOf(SparseType) + (columns <= short.MaxValue + 1L ? HalfBytes : FloatBytes))) + ((rows + 1) * FloatBytes));
    }

    private protected override int UsualBits => 3;

    private static int BytesOf(ScaleType type) => type == ScaleType.Float32 ? FloatBytes : HalfBytes;

    private long KeptOf(long weights) => CountOf(OutlierRange == 0 ? SparseFraction : (Weighted ? SensitiveFraction : 0) + NormalShareBeyond(0.6745 + (1.349 * OutlierRange)), weights);

    /// <summary>The share of a normal distribution that is further than so many deviations from its mean (Abramowitz and Stegun 7.1.25, error below 3e-5).</summary>
    private static double NormalShareBeyond(double deviations)
    {
        double t = 1 / (1 + (0.47047 * deviations / Math.Sqrt(2)));
        return ((0.3480242 + ((-0.0958798 + (0.7478556 * t)) * t)) * t) * Math.Exp(-deviations * deviations / 2);
    }
}

/// <summary>How the table of a row is found.</summary>
public enum TableSolver
{
    /// <summary>The best table there is, by dynamic programming.</summary>
    Exact,

    /// <summary>A good table by Lloyd's iteration from quantiles: less work with many bits.</summary>
    Lloyd,
}
