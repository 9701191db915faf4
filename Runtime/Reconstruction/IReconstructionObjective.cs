namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>What a reconstruction makes small.</summary>
internal interface IReconstructionObjective
{
    /// <summary>The loss of one step and its gradients in the layers' weights and biases; the current dispose scope owns them.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="layers">What stands in the layers.</param>
    (double Loss, IReadOnlyList<LayerState> Gradients) Differentiate(int step, IReadOnlyList<LayerState> layers);

    /// <summary>The loss on everything that is trained on.</summary>
    /// <param name="layers">What stands in the layers.</param>
    double Measure(IReadOnlyList<LayerState> layers);
}
