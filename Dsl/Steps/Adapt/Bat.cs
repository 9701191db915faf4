using System.Collections.Generic;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>Blocks of a linear layer's weight, each W → W (I + D) + D with one D for all blocks of the same outputs (Bat, arXiv:2409.15371). The change can have full rank.</summary>
public sealed class Bat : Adapt
{
    /// <summary>The side r of a block; divides inputs and outputs.</summary>
    [Within(1, int.MaxValue)]
    public int Rank { get; set; } = 64;

    /// <inheritdoc/>
    public override bool KeepsBase => false;

    /// <inheritdoc/>
    public override long TrainedNumbers(LayerShape layer) => Rank * layer.Rows;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        if (layer is not null && Rank > layer.MaxRank)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, nameof(Rank), layer.MaxRank, $"a block of {Number(Rank)} is larger than a layer of {Number(layer.Rows)} × {Number(layer.Columns)}; use at most {Number(layer.MaxRank)}");
        }
        else if (layer is not null && (layer.Rows % Rank != 0 || layer.Columns % Rank != 0))
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(Rank), $"block side {Number(Rank)} does not divide a layer of {Number(layer.Rows)} × {Number(layer.Columns)}; take a common divisor");
        }
    }
}
