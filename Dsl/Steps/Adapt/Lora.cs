using System;
using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>A low-rank change s B A beside the frozen weight: LoRA (arXiv:2106.09685), rsLoRA (2312.03732), DoRA (2402.09353), PiSSA (2404.02948) and OLoRA (2406.01775); after a step of few bits, QLoRA (2305.14314).</summary>
/// <remarks>A table is adapted where it is looked up; an output layer that reads the table's weight itself sees the change once it is merged.</remarks>
public sealed class Lora : Adapt
{
    /// <summary>The rank r.</summary>
    [Within(1, int.MaxValue)]
    public int Rank { get; set; } = 8;

    /// <summary>The numerator of the scaling: s = alpha / r.</summary>
    [Within(0, double.MaxValue, ExclusiveMinimum = true)]
    public double Alpha { get; set; } = 8;

    /// <summary>Whether s = alpha / √r, so that updates do not shrink as the rank grows.</summary>
    public bool RankStabilized { get; set; }

    /// <summary>Whether the norm of each unit's weights is trained apart from their direction (DoRA).</summary>
    public bool WeightDecomposed { get; set; }

    /// <summary>Where the factors start.</summary>
    public LoraStart Start { get; set; }

    /// <summary>The share of the adapter's inputs that are left out at random while it is trained; a table's ids never are.</summary>
    [Within(0, 0.9)]
    public double Dropout { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override bool KeepsBase => !SplitsWeight;

    /// <summary>s.</summary>
    public double Scaling => Alpha / (RankStabilized ? Math.Sqrt(Rank) : Rank);

    /// <summary>Whether the factors start as a part of the weight, which then lacks it.</summary>
    public bool SplitsWeight => Start is LoraStart.Pissa or LoraStart.Olora;

    /// <inheritdoc/>
    public override long TrainedNumbers(LayerShape layer) => (Rank * (layer.Rows + layer.Columns)) + (WeightDecomposed ? Units(layer) : 0);

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in CheckRank(Rank, layer).Concat(CheckGroups(layer)))
        {
            yield return problem;
        }

        if (layer is not null && layer.Kind != LayerKinds.Linear && SplitsWeight)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Start), $"'start: {SettingDescriptor.Format(Start)}' splits the weights of linear layers only; use 'uniform' or 'gaussian' here");
        }
    }

    private protected override IEnumerable<MatrixCost> PredictBeside(LayerShape layer)
    {
        yield return new(layer.Rows, Rank, 0);
        yield return new(Rank, layer.Columns, 0);
        if (WeightDecomposed)
        {
            yield return new(1, Units(layer), 0) { IsVector = true };
        }
    }

    /// <summary>A table's units are its columns.</summary>
    private static long Units(LayerShape layer) => layer.Kind == LayerKinds.Embedding ? layer.Columns : layer.Rows;
}

/// <summary>Where the factors of <see cref="Lora"/> start.</summary>
public enum LoraStart
{
    /// <summary>A uniform in ±1 / √inputs and B zero; of a table A zero and B normal.</summary>
    Uniform,

    /// <summary>A normal with deviation 1 / r and B zero; of a table A zero and B normal.</summary>
    Gaussian,

    /// <summary>The leading singular directions of the weight, of which the rest stays frozen (PiSSA).</summary>
    Pissa,

    /// <summary>The first columns of the weight's QR decomposition, beside what they leave (OLoRA). The scaling multiplies the product, so what is taken from the weight is s times its first r columns' share.</summary>
    Olora,
}
