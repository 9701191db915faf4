using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>A few numbers that are trained for a layer, beside its weight as the steps before leave it.</summary>
public abstract class Adapt : Step
{
    private protected const int FloatBytes = 4;

    /// <inheritdoc/>
    public override Stage Stage => Stage.Adapt;

    /// <inheritdoc/>
    public override bool IsTrained => true;

    /// <summary>Whether the weight stays as the steps before left it, and what is trained is stored beside it; otherwise both become one dense weight.</summary>
    public virtual bool KeepsBase => true;

    /// <summary>How many numbers are trained in a layer of this shape, or at most, where that depends on the weight.</summary>
    /// <param name="layer">The layer's shape; <see cref="Step.Check"/> finds nothing wrong with it.</param>
    public abstract long TrainedNumbers(LayerShape layer);

    /// <inheritdoc/>
    /// <remarks>The weight as it is and what is trained in 32 bits, or the one dense weight that both become.</remarks>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) =>
        KeepsBase ? [.. factors, .. PredictBeside(layer).Select(part => part with { Bytes = part.Rows * part.Columns * FloatBytes })] : factors;

    /// <summary>The matrices that are stored beside the weight; bytes are filled in.</summary>
    private protected virtual IEnumerable<MatrixCost> PredictBeside(LayerShape layer) => [];

    /// <summary>A rank that the weight cannot have.</summary>
    private protected static IEnumerable<StepProblem> CheckRank(int rank, LayerShape? layer)
    {
        if (layer is not null && rank > layer.MaxRank)
        {
            yield return StepProblem.AtMost(DiagnosticIds.RankTooLarge, "Rank", layer.MaxRank, $"rank {Number(rank)} exceeds min(in={Number(layer.Columns)}, out={Number(layer.Rows)}); use at most {Number(layer.MaxRank)}");
        }
    }

    /// <summary>A convolution whose groups make it several matrices.</summary>
    private protected static IEnumerable<StepProblem> CheckGroups(LayerShape? layer)
    {
        if (layer?.Kernel is { Groups: > 1 and var groups })
        {
            yield return new(DiagnosticIds.NotCompressible, null, $"a convolution of {Number(groups)} groups is no single matrix and cannot be adapted; leave it out or give it 'keep'");
        }
    }

    private protected static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
