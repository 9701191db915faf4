namespace PipelineDsl;

/// <summary>Learns on calibration data to which level of a <see cref="PowerQuant"/> grid each value goes, and the grid's exponent, so that a block's output stays (NUPES, arXiv:2308.05600).</summary>
/// <remarks>Values may move over all levels, not only to a neighbour. The training is this project's reading of the abstract: no code is public.</remarks>
public sealed class Nupes : PowerQuant
{
    /// <summary>Steps of Adam a block; 0 leaves PowerQuant's grid.</summary>
    [Within(0, int.MaxValue)]
    public int Iterations { get; set; } = 1000;

    /// <summary>The learning rate of codes, in levels.</summary>
    [Within(0, 10, ExclusiveMinimum = true)]
    public double LearningRate { get; set; } = 2e-2;

    /// <summary>The learning rate of the exponent; 0 leaves it as searched.</summary>
    [Within(0, 1)]
    public double ExponentLearningRate { get; set; } = 1e-3;

    /// <summary>Whether codes are rounded softly, with a slope that sharpens over the training, instead of straight through.</summary>
    public bool SoftRounding { get; set; }

    /// <summary>Calibration samples a step.</summary>
    [Within(1, int.MaxValue)]
    public int BatchSize { get; set; } = 4;

    /// <summary>Whose output is held to the original's.</summary>
    public ReconstructionScope Reconstruct { get; set; }

    /// <inheritdoc/>
    public override bool NeedsCalibration => true;
}
