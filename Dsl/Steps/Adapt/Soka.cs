using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Trains the principal Kronecker products of a linear layer's weight and freezes the rest (SoKA, arXiv:2506.15251). How many there are follows from the spectrum.</summary>
/// <remarks>Defaults that the paper does not give are ours: factors nearest to square, 0.9 of the energy, the chord's elbow, the smaller of both ranks.</remarks>
public sealed class Soka : Adapt
{
    /// <summary>m₁, a divisor of the outputs; 0 takes the divisor nearest to their root.</summary>
    [Within(0, int.MaxValue)]
    public int LeftRows { get; set; }

    /// <summary>n₁, a divisor of the inputs; 0 takes the divisor nearest to their root.</summary>
    [Within(0, int.MaxValue)]
    public int LeftColumns { get; set; }

    /// <summary>The share of the squared singular values to keep.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double EnergyThreshold { get; set; } = 0.9;

    /// <summary>How the spectrum's elbow is found.</summary>
    public ElbowRule Elbow { get; set; }

    /// <summary>Whether the larger of both ranks is taken.</summary>
    public bool TakeLarger { get; set; }

    /// <summary>The fewest terms.</summary>
    [Within(1, int.MaxValue)]
    public int MinRank { get; set; } = 1;

    /// <summary>The most terms; 0 sets no limit.</summary>
    [Within(0, int.MaxValue)]
    public int MaxRank { get; set; }

    /// <summary>What multiplies the terms; their start is divided by it.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double Scaling { get; set; } = 1;

    /// <inheritdoc/>
    public override bool KeepsBase => false;

    /// <inheritdoc/>
    /// <remarks>An upper bound: the number of terms follows from the spectrum.</remarks>
    public override long TrainedNumbers(LayerShape layer)
    {
        var (leftRows, leftColumns) = LeftSize(layer);
        long left = leftRows * leftColumns;
        long right = layer.Count / left;
        return Math.Min(MostTerms, Math.Min(left, right)) * (left + right);
    }

    /// <summary>The most terms.</summary>
    public int MostTerms => MaxRank == 0 ? int.MaxValue : MaxRank;

    /// <summary>m₁ and n₁ for a layer.</summary>
    public (long Rows, long Columns) LeftSize(LayerShape layer) => (LeftRows > 0 ? LeftRows : MiddleDivisor(layer.Rows), LeftColumns > 0 ? LeftColumns : MiddleDivisor(layer.Columns));

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (MinRank > MostTerms)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(MinRank), $"'minRank: {Number(MinRank)}' is above 'maxRank: {Number(MaxRank)}'; exchange them or drop one");
        }

        if (layer is null)
        {
            yield break;
        }

        foreach (var (wanted, size, setting, what) in new[] { (LeftRows, layer.Rows, nameof(LeftRows), "outputs"), (LeftColumns, layer.Columns, nameof(LeftColumns), "inputs") })
        {
            if (wanted > 0 && size % wanted != 0)
            {
                yield return new(DiagnosticIds.InvalidValue, setting, $"{Number(wanted)} does not divide the {Number(size)} {what}; take a divisor or 0");
            }
            else if (wanted == 0 && MiddleDivisor(size) is var divisor && (divisor == 1 || divisor == size))
            {
                yield return new(DiagnosticIds.InvalidValue, setting, $"the {Number(size)} {what} have no divisor, so there are no Kronecker factors; leave the layer out or name one");
            }
        }
    }

    /// <summary>The divisor nearest to the root, the smaller one on ties.</summary>
    private static long MiddleDivisor(long size)
    {
        double root = Math.Sqrt(size);
        return Enumerable.Range(1, (int)size).Where(factor => size % factor == 0).OrderBy(factor => Math.Abs(factor - root)).First();
    }
}

/// <summary>How the elbow of a spectrum is found.</summary>
public enum ElbowRule
{
    /// <summary>The point farthest below the chord from the first value to the last.</summary>
    Chord,

    /// <summary>Before the largest gap.</summary>
    Gap,

    /// <summary>Not at all: energy decides alone.</summary>
    None,
}
