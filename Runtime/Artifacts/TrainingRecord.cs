namespace PipelineDsl.Runtime.Artifacts;

/// <summary>How a recipe's layers were trained.</summary>
public sealed record TrainingRecord
{
    /// <summary>The most points of a loss curve that a manifest keeps.</summary>
    public const int MaxPoints = 200;

    /// <summary>What moved the numbers, as the recipe names it.</summary>
    public required string Optimizer { get; init; }

    /// <summary>The learning rate that the schedule multiplied.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Numbers that were trained.</summary>
    public required long TrainedParameters { get; init; }

    /// <summary>Numbers that the model has without them.</summary>
    public required long ModelParameters { get; init; }

    /// <summary>Optimizer steps that were taken.</summary>
    public required int Steps { get; init; }

    /// <summary>Optimizer steps that the recipe asked for; more than were taken where training stopped early.</summary>
    public required int PlannedSteps { get; init; }

    /// <summary>Targets that were scored in training, in all epochs together.</summary>
    public required long Tokens { get; init; }

    /// <summary>The step whose state was kept; 0 is the start.</summary>
    public required int KeptStep { get; init; }

    /// <summary>The mean training loss over stretches of steps, each at its last step.</summary>
    public required IReadOnlyList<LossPoint> Losses { get; init; }

    /// <summary>The loss on the held-out data, or nothing when there is none.</summary>
    public required IReadOnlyList<LossPoint> Validation { get; init; }

    /// <summary>The adapter's files for other programs, or null where whole weights were trained alone.</summary>
    public AdapterRecord? Adapter { get; init; }

    /// <summary>A curve of at most <see cref="MaxPoints"/> points: means over equal stretches.</summary>
    /// <param name="curve">A loss for each step, in order.</param>
    public static IReadOnlyList<LossPoint> Thin(IReadOnlyList<LossPoint> curve)
    {
        if (curve.Count <= MaxPoints)
        {
            return curve;
        }

        return [.. Enumerable.Range(0, MaxPoints).Select(part =>
        {
            int first = (int)((long)part * curve.Count / MaxPoints);
            int end = (int)((long)(part + 1) * curve.Count / MaxPoints);
            return new LossPoint(curve[end - 1].Step, Enumerable.Range(first, end - first).Average(i => curve[i].Loss));
        })];
    }
}

/// <summary>A loss after a step.</summary>
/// <param name="Step">Optimizer steps taken by then.</param>
/// <param name="Loss">Nats a scored token.</param>
public sealed record LossPoint(int Step, double Loss);

/// <summary>An adapter as other programs read it.</summary>
/// <param name="Type">The type that <c>adapter_config.json</c> names.</param>
/// <param name="Rank">Its rank.</param>
/// <param name="Bytes">Bytes of its tensors.</param>
/// <param name="Files">Its files, relative to the artifact.</param>
/// <param name="Approximated">Layers whose change no such adapter holds exactly, with the share of the change that was lost.</param>
public sealed record AdapterRecord(string Type, int Rank, long Bytes, IReadOnlyList<ExportedFile> Files, SortedDictionary<string, double> Approximated);
