using System;
using System.Collections.Generic;
using System.Globalization;
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

    /// <summary>How the kernel of a convolution is cut in two.</summary>
    public ConvForm ConvForm { get; set; }

    /// <summary>How close to the smallest loss an iteration for large layers must come.</summary>
    public SvdAccuracy Accuracy { get; set; }

    /// <inheritdoc/>
    public override Stage Stage => Stage.Decompose;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override StatisticKinds Needs => Orientation switch
    {
        Orientation.Weight => StatisticKinds.None,
        Orientation.Context => StatisticKinds.ContextCovariance,
        Orientation.Fisher => StatisticKinds.Fisher,
        _ => StatisticKinds.InputMoments,
    };

    /// <summary>Whether a table of this shape keeps the mean of its rows beside the factors.</summary>
    public bool KeepsMean(LayerShape layer) => layer.Kind == LayerKinds.Embedding && Orientation == Orientation.Output;

    /// <inheritdoc/>
    public override StatisticKinds NeedsOf(LayerShape layer) =>
        layer.Kind == LayerKinds.Embedding && Needs != StatisticKinds.None ? StatisticKinds.AccessCounts : Needs;

    /// <summary>The matrix that is factored: the weight, or [out · kernel width, in · kernel height] of a convolution cut spatially; null where the kernel is not known.</summary>
    public LayerShape? Factored(LayerShape layer) => layer.Kind != LayerKinds.Conv2d || ConvForm == ConvForm.ChannelWise
        ? layer
        : layer.Kernel is { } kernel ? layer with { Rows = layer.Rows * kernel.Width, Columns = layer.Columns / kernel.Width } : null;

    /// <inheritdoc/>
    public override bool IsOpen => !ReplacesNothing && !RankChoices.Any(choice => choice.Chosen);

    /// <inheritdoc/>
    public override bool ReplacesBias(LayerShape layer) => Orientation == Orientation.Output && layer.Kind != LayerKinds.Embedding;

    /// <summary>The rank of the factors in a layer of this shape.</summary>
    public virtual int RankFor(LayerShape layer) => Rank > 0 ? Rank : Math.Max(1, (int)Math.Floor(KeepRatio * FactoredOf(layer).BreakEvenRank));

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
            yield return new(DiagnosticIds.MissingSetting, null, $"no rank is chosen; add {string.Join(" or ", RankChoices.Select(choice => Quoted(choice.Name)))}, or a 'budget' to the recipe");
        }

        if ((AppliesTo & LayerKinds.Conv2d) == 0 && given.Contains(nameof(ConvForm)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(ConvForm), "'convForm' has no meaning for a method that does not work on convolutions; drop it or use 'decompose'");
        }

        if (layer is not null)
        {
            foreach (var problem in CheckKind(layer).Concat(Factored(layer) is { } factored ? CheckRank(layer, factored) : []))
            {
                yield return problem;
            }
        }
    }

    /// <inheritdoc/>
    public override Step Resolve(LayerShape layer) => IsOpen ? this : WithRank(RankFor(layer));

    /// <inheritdoc/>
    public override bool MayBeLeftOut => true;

    /// <inheritdoc/>
    public override string ChoiceName => "rank " + Rank.ToString(CultureInfo.InvariantCulture);

    /// <inheritdoc/>
    public override IReadOnlyList<Step> Candidates(LayerShape layer)
    {
        int largest = (int)Math.Ceiling(SavingLimit(layer, FactoredOf(layer))) - 1;
        return !IsOpen || largest < 1 ? [] : [.. Enumerable.Range(1, largest).Select(WithRank)];
    }

    /// <summary>The same step with a rank.</summary>
    public virtual Decompose WithRank(int rank)
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
        var factored = FactoredOf(layer);
        MatrixCost left = new(factored.Rows, rank, factored.Rows * rank * 4);
        MatrixCost right = new(rank, factored.Columns, rank * factored.Columns * 4);
        return KeepsMean(layer) ? [left, right, new(1, layer.Columns, layer.Columns * 4) { IsVector = true }] : [left, right];
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

    private LayerShape FactoredOf(LayerShape layer) => Factored(layer) ?? throw new InvalidOperationException("a spatial decomposition needs to know the kernel");

    /// <summary>The rank from which the factors are no smaller than the weight.</summary>
    private double SavingLimit(LayerShape layer, LayerShape factored) => (double)(factored.Count - (KeepsMean(layer) ? layer.Columns : 0)) / (factored.Rows + factored.Columns);

    private IEnumerable<StepProblem> CheckKind(LayerShape layer)
    {
        string orientation = SettingDescriptor.Format(Orientation);
        if (layer.Kind == LayerKinds.Embedding && Orientation is Orientation.Context or Orientation.Fisher)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Orientation), $"orientation '{orientation}' has no meaning for an embedding; use weight, whitened (rows count as often as they are looked up) or output (the same around their mean)");
        }

        if (layer.Kind == LayerKinds.Conv2d && layer.Kernel is { Groups: > 1 and var groups })
        {
            yield return new(DiagnosticIds.NotCompressible, null, $"a convolution of {groups} groups is no single matrix and cannot be decomposed; give it 'keep'");
        }

        if (layer.Kind == LayerKinds.Conv2d && ConvForm == ConvForm.SpatialWise && Orientation != Orientation.Weight)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(ConvForm), $"orientation '{orientation}' knows whole patches, which 'convForm: spatialWise' takes apart; use 'convForm: channelWise' or 'orientation: weight'");
        }
    }

    private IEnumerable<StepProblem> CheckRank(LayerShape layer, LayerShape factored)
    {
        if (Rank > factored.MaxRank)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, nameof(Rank), factored.MaxRank, $"rank {Rank} exceeds min(in={factored.Columns}, out={factored.Rows}); use at most {factored.MaxRank}");
            yield break;
        }

        double limit = SavingLimit(layer, factored);
        string? choice = RankChoices.FirstOrDefault(candidate => candidate.Chosen).Name;
        if (choice is not null && !ReplacesNothing && RankFor(layer) >= limit)
        {
            // What a share of parameters should be instead is the user's to say.
            yield return StepProblem.AtMost(DiagnosticIds.RankSavesNothing, choice, choice == nameof(Rank) ? (long)Math.Ceiling(limit) - 1 : 0,
                $"rank {RankFor(layer)} saves nothing in a layer of {layer.Rows} × {layer.Columns}; two factors are smaller only below rank {Math.Ceiling(limit)}");
        }
    }
}

/// <summary>How the kernel of a convolution is cut in two.</summary>
public enum ConvForm
{
    /// <summary>The whole kernel to few channels, then 1 × 1 to all of them.</summary>
    ChannelWise,

    /// <summary>Height × 1 to few channels, then 1 × width to all of them (weight orientation only).</summary>
    SpatialWise,
}
