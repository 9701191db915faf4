namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>How a block is reconstructed. The loss is the mean squared error over all outputs of a batch.</summary>
public sealed record ReconstructionSettings
{
    /// <summary>Whose outputs are held to the original's.</summary>
    public ReconstructionScope Scope { get; init; }

    /// <summary>What the original block is given, to answer with the outputs that are aimed at.</summary>
    public TeacherInputs Teacher { get; init; }

    /// <summary>Steps of training; 0 leaves the start as it is.</summary>
    public required int Steps { get; init; }

    /// <summary>Samples (rows of calibration batches) a step.</summary>
    public int BatchSize { get; init; } = 4;

    /// <summary>How the learning rates run.</summary>
    public RateSchedule Schedule { get; init; }

    /// <summary>The share of samples that is never trained on and tells how well the result generalises.</summary>
    public double HeldOut { get; init; } = 0.125;

    /// <summary>How often, evenly spread and the end included, the hard state is measured on all training samples so that the best one is kept.</summary>
    public int Checkpoints { get; init; } = 8;
}

/// <summary>What the original block is given.</summary>
public enum TeacherInputs
{
    /// <summary>What reaches it in the original model, so that a block makes up for errors of those before it.</summary>
    Original,

    /// <summary>What reaches the compressed block, whose arguments are those of the original then.</summary>
    Compressed,
}

/// <summary>How a learning rate runs over the steps.</summary>
public enum RateSchedule
{
    /// <summary>From the full rate to 0 along half a cosine, step by step.</summary>
    Cosine,

    /// <summary>The full rate in every step.</summary>
    Constant,
}
