using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Trains the weight of one linear layer against the layer's own outputs, on all samples in every step; deterministic.</summary>
public static class LayerReconstruction
{
    /// <summary>Makes the mean squared error over all outputs of a layer small.</summary>
    /// <param name="trainable">The weight; left as the last step made it.</param>
    /// <param name="start">The state that it starts from, as it would be stored; still the caller's.</param>
    /// <param name="weight">The original weight [rows, columns].</param>
    /// <param name="gram">XᵀX [columns, columns] of the inputs.</param>
    /// <param name="count">Samples in it.</param>
    /// <param name="settings">Steps, schedule and checkpoints; there are no batches and nothing is held out.</param>
    public static LayerReconstructionResult Run(TrainableWeight trainable, Expression start, Tensor weight, Tensor gram, long count, ReconstructionSettings settings)
    {
        using var scope = NewDisposeScope();
        return Run(trainable, start, new OutputError(weight, gram, count), settings);
    }

    /// <inheritdoc cref="Run(TrainableWeight, Expression, Tensor, Tensor, long, ReconstructionSettings)"/>
    /// <param name="x">The inputs [samples, columns].</param>
    public static LayerReconstructionResult Run(TrainableWeight trainable, Expression start, Tensor weight, Tensor x, ReconstructionSettings settings)
    {
        using var scope = NewDisposeScope();
        return Run(trainable, start, OutputError.On(weight, x), settings);
    }

    private static LayerReconstructionResult Run(TrainableWeight trainable, Expression start, OutputError objective, ReconstructionSettings settings)
    {
        var result = new BlockTraining([trainable], objective, settings).Run([new(start, null)]);
        return new(result.Best?[0].Weight, result.StartLoss, result.BestLoss, result.BestStep, result.Losses, result.Note);
    }
}

/// <summary>What a training of one layer left.</summary>
/// <param name="Best">The best state, or null where that is the start; the caller owns it.</param>
/// <param name="StartLoss">The loss of the start, as it would be stored.</param>
/// <param name="BestLoss">The loss of the best state.</param>
/// <param name="BestStep">The step that it came after; 0 for the start.</param>
/// <param name="Losses">The loss of the soft weight in each step, before it.</param>
/// <param name="Note">Why training ended early, or null.</param>
public sealed record LayerReconstructionResult(Expression? Best, double StartLoss, double BestLoss, int BestStep, IReadOnlyList<double> Losses, string? Note);
