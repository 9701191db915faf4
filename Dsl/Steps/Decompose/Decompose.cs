using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Replaces a weight by the product of two thin factors that keeps what matters in the chosen <see cref="Orientation"/>.</summary>
public class Decompose : Step
{
    /// <summary>The number of columns of the left factor; 0 leaves it to <see cref="KeepRatio"/>.</summary>
    [Within(1, int.MaxValue)]
    public int Rank { get; set; }

    /// <summary>The share of the layer's parameters to keep: rank = floor(ratio · m n / (m + n)); 0 leaves it to <see cref="Rank"/>.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double KeepRatio { get; set; }

    /// <summary>The metric of the decomposition.</summary>
    public Orientation Orientation { get; set; }

    /// <inheritdoc/>
    public override Stage Stage => Stage.Decompose;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override StatisticKinds Needs => Orientation switch
    {
        Orientation.Weight => StatisticKinds.None,
        Orientation.Context => StatisticKinds.ContextCovariance,
        Orientation.Fisher => StatisticKinds.Fisher,
        _ => StatisticKinds.InputMoments,
    };

    /// <inheritdoc/>
    public override bool IsOpen => Rank == 0 && KeepRatio == 0 && !ReplacesNothing;

    /// <inheritdoc/>
    public override bool ReplacesBias => Orientation == Orientation.Output;

    /// <summary>The rank of the factors in a layer of this shape.</summary>
    public int RankFor(LayerShape layer) => Rank > 0 ? Rank : Math.Max(1, (int)Math.Floor(KeepRatio * layer.BreakEvenRank));

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (Rank > 0 && KeepRatio > 0)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(KeepRatio), "'rank' and 'keepRatio' both choose the rank; keep one of them");
        }
        else if (Rank == 0 && KeepRatio == 0)
        {
            yield return new(DiagnosticIds.MissingSetting, null, "no rank is chosen; add 'rank' or 'keepRatio', or a 'budget' to the recipe");
        }

        if (layer is not null && Rank > layer.MaxRank)
        {
            yield return new(DiagnosticIds.RankTooLarge, nameof(Rank), $"rank {Rank} exceeds min(in={layer.Columns}, out={layer.Rows}); use at most {layer.MaxRank}");
        }
        else if (layer is not null && (Rank > 0 || KeepRatio > 0) && !ReplacesNothing && RankFor(layer) >= layer.BreakEvenRank)
        {
            yield return new(DiagnosticIds.RankSavesNothing, Rank > 0 ? nameof(Rank) : nameof(KeepRatio),
                $"rank {RankFor(layer)} saves nothing in a layer of {layer.Rows} × {layer.Columns}; two factors are smaller only below rank {Math.Ceiling(layer.BreakEvenRank)}");
        }
    }

    /// <inheritdoc/>
    public override Step Resolve(LayerShape layer) => IsOpen ? this : WithRank(RankFor(layer));

    /// <inheritdoc/>
    public override IReadOnlyList<Step> Candidates(LayerShape layer, int most)
    {
        int largest = (int)Math.Ceiling(layer.BreakEvenRank) - 1;
        return !IsOpen || largest < 1 ? [] : [.. Enumerable.Range(1, Math.Min(most, largest)).Select(i => WithRank((int)((long)largest * i / Math.Min(most, largest))))];
    }

    /// <summary>The same step with a rank.</summary>
    public Decompose WithRank(int rank)
    {
        var step = (Decompose)Copy();
        step.Rank = rank;
        step.KeepRatio = 0;
        return step;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors)
    {
        long rank = RankFor(layer);
        return [new(layer.Rows, rank, layer.Rows * rank * 4), new(rank, layer.Columns, rank * layer.Columns * 4)];
    }

    /// <summary>Whether the full weight stays beside the factors, so that the rank is no matter of saving.</summary>
    private protected virtual bool ReplacesNothing => false;
}
