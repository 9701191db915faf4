namespace PipelineDsl.Runtime.Training;

/// <summary>Where a training run stands when a batch goes through the model: what is random then depends on nothing else, so that a run that was killed goes on alike.</summary>
/// <param name="Seed">The run's seed.</param>
/// <param name="Step">Optimizer steps taken.</param>
/// <param name="Batch">The batch within the step, from 0.</param>
public readonly record struct TrainingPosition(long Seed, int Step, int Batch);
