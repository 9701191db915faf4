using System.Collections.Generic;
using System.Linq;
using PipelineDsl.Diagnostics;

namespace PipelineDsl;

/// <summary>decoupleQ (arXiv:2404.12759): a plain uniform grid of very few bits whose integers and whose scales and offsets are found in turn, for the least error of the layer's outputs.</summary>
/// <remarks>Values are scale · code + offset with signed codes; an offset takes the place of an integer zero point.</remarks>
public sealed class DecoupleQ : Quantize
{
    private static readonly string[] TrainSettings = [nameof(RelaxationSteps), nameof(RelaxationRate), nameof(StepsPerColumn)];
    private static readonly string[] TuneSettings = [nameof(TuneSteps), nameof(TuneRate), nameof(TuneBatchSize), nameof(TuneBias)];

    /// <summary>A step of 2 bits in groups of 64 values with offsets.</summary>
    public DecoupleQ()
    {
        GroupSize = 64;
        Symmetric = false;
    }

    /// <summary>0 rounds to nearest, 1 also makes up for rounding errors column by column, k also alternates k − 1 times between integers and floats.</summary>
    [Within(0, 1000)]
    public int Iterations { get; set; } = 4;

    /// <summary>How integers of a given grid are found.</summary>
    public DecoupleRounding Rounding { get; set; }

    /// <summary>Whether columns with stronger inputs are rounded first.</summary>
    public bool ActivationOrder { get; set; } = true;

    /// <summary>The share of its mean diagonal added to the diagonal of the inputs' second moment.</summary>
    [Within(0, 1000, ExclusiveMinimum = true)]
    public double Damping { get; set; } = 0.01;

    /// <summary>Steps of training before the first column is fixed; for 'rounding: train'.</summary>
    [Within(0, int.MaxValue)]
    public int RelaxationSteps { get; set; } = 200;

    /// <summary>The learning rate of these steps.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double RelaxationRate { get; set; } = 1e-3;

    /// <summary>Steps of training after each column; for 'rounding: train'.</summary>
    [Within(0, int.MaxValue)]
    public int StepsPerColumn { get; set; } = 5;

    /// <summary>The search for the range that a grid spans goes down in steps of 1 over this number.</summary>
    [Within(1, 100_000)]
    public int SearchSteps { get; set; } = 200;

    /// <summary>The search ends before a range has lost this share of its length.</summary>
    [Within(0, 1)]
    public double LargestShrink { get; set; } = 0.8;

    /// <summary>Whether scales and offsets are then trained with the codes fixed, and on whose output.</summary>
    public DecoupleTuning Tune { get; set; }

    /// <summary>Steps of this training, a block; published: 4 times the calibration samples.</summary>
    [Within(1, int.MaxValue)]
    public int TuneSteps { get; set; } = 200;

    /// <summary>Its learning rate; published for models of billions of parameters: 0.00001.</summary>
    [Within(0, 1, ExclusiveMinimum = true)]
    public double TuneRate { get; set; } = 1e-3;

    /// <summary>Calibration samples a step of this training.</summary>
    [Within(1, int.MaxValue)]
    public int TuneBatchSize { get; set; } = 1;

    /// <summary>Whether the layer's bias is trained with them; a layer without one gets one.</summary>
    public bool TuneBias { get; set; }

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.Linear | LayerKinds.Conv2d;

    /// <inheritdoc/>
    public override StatisticKinds Needs => StatisticKinds.InputMoments;

    /// <inheritdoc/>
    public override bool ReplacesBias(LayerShape layer) => TuneBias && Tune != DecoupleTuning.None;

    /// <inheritdoc/>
    public override IEnumerable<StepProblem> Check(LayerShape? layer, ISet<string> given)
    {
        foreach (var problem in base.Check(layer, given))
        {
            yield return problem;
        }

        if (layer?.Kernel is { Groups: > 1 and var groups })
        {
            yield return new(DiagnosticIds.NotCompressible, null, $"the inputs of a convolution of {groups} groups are not one second moment; use 'quantize'");
        }

        if (Granularity == Granularity.Tensor)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Granularity), "'decoupleQ' fits the grid of each row by itself; use 'granularity: channel' or 'group'");
        }
        else if (Symmetric && Granularity == Granularity.Group)
        {
            yield return new(DiagnosticIds.ContradictorySettings, nameof(Symmetric), "'decoupleQ' knows symmetric grids of whole rows only; add 'granularity: channel' or drop 'symmetric'");
        }

        foreach (string unused in TrainSettings.Where(name => Rounding != DecoupleRounding.Train && given.Contains(name)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, unused, $"'{SettingDescriptor.CamelCase(unused)}' belongs to 'rounding: train'; add that or drop it");
        }

        foreach (string unused in TuneSettings.Where(name => Tune == DecoupleTuning.None && given.Contains(name)))
        {
            yield return new(DiagnosticIds.ContradictorySettings, unused, $"'{SettingDescriptor.CamelCase(unused)}' belongs to 'tune: block' or 'tune: layer'; add that or drop it");
        }
    }

    private protected override int UsualBits => 2;

    private protected override int ZeroBytes => ScaleBytes;
}

/// <summary>How the integers of a given grid are found.</summary>
public enum DecoupleRounding
{
    /// <summary>Column by column, the rounding error handed on to the columns that follow: the second-level approximation.</summary>
    Gptq,

    /// <summary>Column by column, the columns that follow trained after each: the first-level approximation, for layers of a few hundred columns.</summary>
    Train,
}

/// <summary>Whether scales and offsets are trained once codes are fixed.</summary>
public enum DecoupleTuning
{
    /// <summary>They stay as they were found.</summary>
    None,

    /// <summary>On the output of the block that the layer is part of, with all its layers.</summary>
    Block,

    /// <summary>On the layer's own output.</summary>
    Layer,
}
