using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>A solver whose result is only the start of a training against the outputs of the original block.</summary>
public interface IReconstructingSolver : ILayerSolver
{
    /// <summary>How the step trains, or null when it asks for no training.</summary>
    ReconstructionSettings? SettingsOf(Step step);

    /// <summary>The start as something trainable.</summary>
    /// <param name="problem">The layer as earlier steps left it.</param>
    /// <param name="step">The step.</param>
    /// <param name="start">What <see cref="ILayerSolver.Solve"/> made of it; still the caller's.</param>
    TrainableWeight Start(LayerProblem problem, Step step, LayerSolution start);
}

/// <inheritdoc cref="IReconstructingSolver"/>
/// <typeparam name="TStep">The step.</typeparam>
public abstract class ReconstructingSolver<TStep> : LayerSolver<TStep>, IReconstructingSolver
    where TStep : Step
{
    /// <inheritdoc/>
    public ReconstructionSettings? SettingsOf(Step step) => SettingsOf((TStep)step);

    /// <inheritdoc/>
    public TrainableWeight Start(LayerProblem problem, Step step, LayerSolution start) => Start(problem, (TStep)step, start);

    /// <inheritdoc cref="IReconstructingSolver.SettingsOf"/>
    protected abstract ReconstructionSettings? SettingsOf(TStep step);

    /// <inheritdoc cref="IReconstructingSolver.Start"/>
    protected abstract TrainableWeight Start(LayerProblem problem, TStep step, LayerSolution start);
}
