using PipelineDsl.Runtime.Data;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Training;

/// <summary>What a training run needs beside its settings.</summary>
public sealed record TrainingWork
{
    /// <summary>The mean loss of a batch's targets, a scalar that gradients flow from; the caller owns it.</summary>
    public required Func<Batch, Tensor> Loss { get; init; }

    /// <summary>What is trained.</summary>
    public required IReadOnlyList<TrainedTensor> Tensors { get; init; }

    /// <summary>The examples.</summary>
    public required TrainingData Data { get; init; }

    /// <summary>Held-out examples, or null.</summary>
    public TrainingData? Validation { get; init; }

    /// <summary>Decides the order of examples and everything that is random.</summary>
    public required long Seed { get; init; }

    /// <summary>Where batches go.</summary>
    public required Device Device { get; init; }

    /// <summary>Told before each batch where training stands, and null before each evaluation.</summary>
    public Action<TrainingPosition?> MoveTo { get; init; } = _ => { };

    /// <summary>The file that a killed run goes on from, or null to keep none.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>Everything the result depends on: a checkpoint of other work is not used.</summary>
    public string Key { get; init; } = "";

    /// <summary>Hears the names of tensors that the first step's loss does not depend on.</summary>
    public Action<IReadOnlyList<string>> Unreached { get; init; } = _ => { };

    /// <summary>Hears how it goes, now and then.</summary>
    public Action<string> Progress { get; init; } = _ => { };
}
