using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>A change of a linear weight or a kernel as a small core with one thin factor for each of its axes (FLoRA, arXiv:2405.14739).</summary>
public sealed class Flora : Adapt
{
    private const int UsualRank = 8;
    private const int UsualKernelRank = 2;

    /// <summary>The rank of each axis: inputs, outputs, then those of the kernel, such as <c>16x16x2x2</c>. Empty takes 8 for inputs and outputs and 2 for the kernel's axes, at most their size.</summary>
    public string Ranks { get; set; } = "";

    /// <summary>s, what multiplies the change; not divided by a rank.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double Scaling { get; set; } = 1;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear | LayerKinds.Conv2d;

    /// <inheritdoc/>
    public override long TrainedNumbers(LayerShape layer)
    {
        var sizes = Sizes(layer);
        var ranks = RanksOf(sizes);
        return ranks.Aggregate(1L, (product, rank) => product * rank) + sizes.Zip(ranks, (size, rank) => size * rank).Sum();
    }

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in CheckGroups(layer))
        {
            yield return problem;
        }

        if (Ranks.Length > 0 && FactorText.Parse(Ranks) is null)
        {
            yield return new(DiagnosticIds.InvalidValue, nameof(Ranks), $"'ranks' is '{Ranks}'; it must be one rank an axis such as 8x8 or 16x16x2x2, or empty");
        }
        else if (layer is not null && (layer.Kind != LayerKinds.Conv2d || layer.Kernel is not null) && CheckRanks(Sizes(layer)) is { } problem)
        {
            yield return problem;
        }
    }

    /// <summary>What is wrong with the ranks for axes of these sizes, or null.</summary>
    /// <param name="sizes">Inputs, outputs, then the kernel's axes.</param>
    public StepProblem? CheckRanks(IReadOnlyList<long> sizes)
    {
        var ranks = RanksOf(sizes);
        if (ranks.Count != sizes.Count)
        {
            return new(DiagnosticIds.InvalidValue, nameof(Ranks), $"{Number(ranks.Count)} ranks for a weight of {Number(sizes.Count)} axes; give one an axis: inputs, outputs, then the kernel's");
        }

        return ranks.Zip(sizes, (rank, size) => rank > size).Any(tooLarge => tooLarge)
            ? new(DiagnosticIds.RankTooLarge, nameof(Ranks), $"ranks {Ranks} exceed a weight of {FactorText.Of(sizes)} (inputs, outputs, kernel); use at most its sizes")
            : null;
    }

    /// <summary>The rank of each axis.</summary>
    /// <param name="sizes">Inputs, outputs, then the kernel's axes.</param>
    public IReadOnlyList<int> RanksOf(IReadOnlyList<long> sizes) => Ranks.Length > 0
        ? FactorText.Parse(Ranks) ?? throw new InvalidOperationException($"'{Ranks}' are no ranks")
        : [.. sizes.Select((size, axis) => (int)Math.Min(size, axis < 2 ? UsualRank : UsualKernelRank))];

    /// <remarks>The change is stored as a low-rank product between all inputs and all outputs.</remarks>
    private protected override IEnumerable<MatrixCost> PredictBeside(LayerShape layer)
    {
        var ranks = RanksOf(Sizes(layer));
        long rank = layer.Kind == LayerKinds.Linear ? Math.Min(ranks[0], ranks[1]) : ranks[1];
        return [new(layer.Rows, rank, 0), new(rank, layer.Columns, 0)];
    }

    private static IReadOnlyList<long> Sizes(LayerShape layer) => layer.Kind == LayerKinds.Linear
        ? [layer.Columns, layer.Rows]
        : layer.Kernel is { } kernel
            ? [layer.Columns / (kernel.Height * kernel.Width), layer.Rows, kernel.Height, kernel.Width]
            : throw new InvalidOperationException("the ranks of a convolution need its kernel");
}
