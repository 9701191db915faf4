using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>One trained block that all shards of a linear layer's inputs share: Bone, in current PEFT MiSS (arXiv:2409.15371). No scaling, nothing random.</summary>
public sealed class Bone : Adapt
{
    /// <summary>The width r of a shard of the inputs.</summary>
    [Within(1, int.MaxValue)]
    public int Rank { get; set; } = 64;

    /// <summary>How many outputs have numbers of their own, which the others repeat; 0 for all (MiSS with <c>init_weights: mini</c>).</summary>
    [Within(0, int.MaxValue)]
    public int MiniRank { get; set; }

    /// <inheritdoc/>
    public override long TrainedNumbers(LayerShape layer) => Rank * (MiniRank == 0 ? layer.Rows : MiniRank);

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (layer is null)
        {
            yield break;
        }

        if (Rank > layer.Columns)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, nameof(Rank), layer.Columns, $"a shard of {Number(Rank)} is wider than the {Number(layer.Columns)} inputs; use at most {Number(layer.Columns)}");
        }

        if (MiniRank > 0 && layer.Rows % MiniRank != 0)
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(MiniRank), $"mini rank {Number(MiniRank)} does not divide the {Number(layer.Rows)} outputs; take a divisor or 0");
        }
    }

    /// <remarks>The change is stored as a low-rank product: the block once for each output, and which place in its shard an input has.</remarks>
    private protected override IEnumerable<MatrixCost> PredictBeside(LayerShape layer) => [new(layer.Rows, Rank, 0), new(Rank, layer.Columns, 0)];
}
