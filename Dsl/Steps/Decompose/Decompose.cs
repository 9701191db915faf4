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

    /// <summary>How close to the smallest loss an iteration for large layers must come.</summary>
    public SvdAccuracy Accuracy { get; set; }

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

    /// <summary>The rank of the factors in a layer of this shape.</summary>
    public virtual int RankFor(LayerShape layer) => Rank > 0 ? Rank : Math.Max(1, (int)Math.Floor(KeepRatio * layer.BreakEvenRank));

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        string[] chosen = [.. RankChoices.Where(choice => choice.Chosen).Select(choice => choice.Name)];
        if (chosen.Length > 1)
        {
            yield return new(DiagnosticIds.ContradictorySettings, chosen[1], $"{Quoted(chosen[0])} and {Quoted(chosen[1])} both choose the rank; keep one of them");
        }
        else if (chosen.Length == 0)
        {
            yield return new(DiagnosticIds.MissingSetting, null, "no rank is chosen; add " + string.Join(" or ", RankChoices.Select(choice => Quoted(choice.Name))));
        }

        if (layer is not null && Rank > layer.MaxRank)
        {
            yield return new(DiagnosticIds.RankTooLarge, nameof(Rank), $"rank {Rank} exceeds min(in={layer.Columns}, out={layer.Rows}); use at most {layer.MaxRank}");
        }
        else if (layer is not null && chosen.Length > 0 && !ReplacesNothing && RankFor(layer) >= layer.BreakEvenRank)
        {
            yield return new(DiagnosticIds.RankSavesNothing, chosen[0],
                $"rank {RankFor(layer)} saves nothing in a layer of {layer.Rows} × {layer.Columns}; two factors are smaller only below rank {Math.Ceiling(layer.BreakEvenRank)}");
        }
    }

    /// <inheritdoc/>
    public override Step Resolve(LayerShape layer)
    {
        var resolved = (Decompose)Copy();
        resolved.Rank = RankFor(layer);
        resolved.KeepRatio = 0;
        return resolved;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors)
    {
        long rank = RankFor(layer);
        return [new(layer.Rows, rank, layer.Rows * rank * 4), new(rank, layer.Columns, rank * layer.Columns * 4)];
    }

    /// <summary>Whether the full weight stays beside the factors, so that the rank is no matter of saving.</summary>
    private protected virtual bool ReplacesNothing => false;

    /// <summary>The settings that can choose the rank, of which one must; by their names in C#.</summary>
    private protected virtual IEnumerable<(string Name, bool Chosen)> RankChoices => [(nameof(Rank), Rank > 0), (nameof(KeepRatio), KeepRatio > 0)];

    /// <summary>The problem of a method that has one orientation, when the user asks for another.</summary>
    private protected IEnumerable<StepProblem> CheckOrientation(Orientation own)
    {
        if (Orientation != own)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Orientation),
                $"'{StepCatalog.Of(this).Name}' decomposes in the {SettingDescriptor.Format(own)} orientation only; use 'decompose' for another one");
        }
    }

    private static string Quoted(string setting) => "'" + SettingDescriptor.CamelCase(setting) + "'";
}
