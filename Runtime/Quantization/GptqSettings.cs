using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Quantization;

/// <summary>How <see cref="GptqRounding"/> rounds.</summary>
/// <param name="Grid">The grid's geometry: signed codes for a symmetric grid.</param>
/// <param name="ScaleType">The dtype of scales: float16 or float32 as a grid stores them; float64 for the exact method.</param>
/// <param name="Damping">What is added to the diagonal, as a share of its mean.</param>
/// <param name="BlockSize">Columns between two updates of the rest.</param>
/// <param name="ActivationOrder">Whether columns are rounded by descending diagonal.</param>
/// <param name="StaticGroups">Whether groups are those of the original columns, with scales from the original weight.</param>
/// <param name="SearchRange">Whether each group's range is searched.</param>
public sealed record GptqSettings(GridGeometry Grid, ScalarType ScaleType, double Damping, int BlockSize, bool ActivationOrder, bool StaticGroups, bool SearchRange = false)
{
    /// <summary>The settings that a step gives a matrix.</summary>
    public static GptqSettings Of(Gptq step, long rows, long columns) => new(
        GridGeometry.For(step, rows, columns),
        Dtypes.Of(step.ScaleType),
        step.Damping,
        step.BlockSize,
        step.ActivationOrder,
        step.StaticGroups,
        step.SearchRange);

    /// <summary>The largest code, counted from the smallest.</summary>
    public int Steps => (1 << Grid.Bits) - 1;
}
