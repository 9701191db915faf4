using System;
using System.Collections.Generic;
using System.Linq;

namespace PipelineDsl;

/// <summary>Low-rank decomposition by the principal components of a layer's outputs (LoRD, arXiv:2309.14021).</summary>
public sealed class Lord : Decompose
{
    /// <summary>A step whose orientation is <see cref="Orientation.Output"/>.</summary>
    public Lord() => Orientation = Orientation.Output;

    /// <summary>Whether outputs are seen around their mean, which moves to the bias; without, it is SVD-LLM.</summary>
    public bool Center { get; set; } = true;

    /// <summary>The share of min(in, out) by which the rank is reduced; 0 leaves the rank to another setting.</summary>
    [Within(0, 1)]
    public double RankReduction { get; set; }

    /// <summary>A rank that follows from a share is rounded down to a multiple of this, but not to 0; the paper keeps matrix tiles full with 128.</summary>
    [Within(1, int.MaxValue)]
    public int RankMultiple { get; set; } = 1;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear;

    /// <inheritdoc/>
    public override int RankFor(LayerShape layer)
    {
        if (Rank > 0)
        {
            return Rank;
        }

        int rank = RankReduction > 0 ? Math.Max(1, (int)Math.Round(layer.MaxRank * (1 - RankReduction), MidpointRounding.ToEven)) : base.RankFor(layer);
        return (int)Math.Min(layer.MaxRank, Math.Max(RankMultiple, rank / RankMultiple * RankMultiple));
    }

    /// <inheritdoc/>
    public override bool ReplacesBias(LayerShape layer) => Center;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given) =>
        base.Check(layer, given).Concat(CheckOrientation(Orientation.Output));

    /// <inheritdoc/>
    public override Decompose WithRank(int rank)
    {
        var step = (Lord)base.WithRank(rank);
        step.RankReduction = 0;
        return step;
    }

    private protected override IEnumerable<(string Name, bool Chosen)> RankChoices => base.RankChoices.Append((nameof(RankReduction), RankReduction > 0));
}
