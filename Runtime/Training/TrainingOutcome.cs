using PipelineDsl.Runtime.Artifacts;

namespace PipelineDsl.Runtime.Training;

/// <summary>What a training run did; the trained tensors hold the state that was kept.</summary>
/// <param name="Steps">Optimizer steps taken.</param>
/// <param name="PlannedSteps">Optimizer steps asked for.</param>
/// <param name="KeptStep">The step whose state was kept; 0 is the start.</param>
/// <param name="Targets">Targets scored in training.</param>
/// <param name="Losses">The mean loss of each step's targets.</param>
/// <param name="Validation">The loss on held-out data, at the start and at every evaluation.</param>
public sealed record TrainingOutcome(int Steps, int PlannedSteps, int KeptStep, long Targets, IReadOnlyList<LossPoint> Losses, IReadOnlyList<LossPoint> Validation);
