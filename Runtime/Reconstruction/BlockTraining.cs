using System.Globalization;
using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Trains the weights of some layers together and keeps the best state that could be stored, the start included.</summary>
/// <param name="weights">The weights.</param>
/// <param name="objective">What is made small.</param>
/// <param name="settings">How.</param>
/// <param name="betweenSteps">Called before each step, or null.</param>
internal sealed class BlockTraining(IReadOnlyList<TrainableWeight> weights, IReconstructionObjective objective, ReconstructionSettings settings, Action? betweenSteps = null)
{
    private readonly List<double> losses = [];
    private IReadOnlyList<HardWeight>? best;
    private int bestStep;
    private double bestLoss;

    /// <summary>Trains.</summary>
    /// <param name="start">The state to begin from, as it would be stored; still the caller's.</param>
    public BlockTrainingResult Run(IReadOnlyList<HardWeight> start)
    {
        using var gradients = enable_grad();
        double startLoss = bestLoss = Measure(start);
        using var optimizer = new Optimizer(weights.SelectMany(weight => weight.Groups));
        string? note = null;
        try
        {
            for (int step = 0; step < settings.Steps && note is null; step++)
            {
                betweenSteps?.Invoke();
                using var scope = NewDisposeScope();
                note = Step(step, optimizer) ?? (IsCheckpoint(step) ? Keep(step) : null);
            }
        }
        catch
        {
            Forget();
            throw;
        }

        return new(startLoss, bestLoss, bestStep, best, losses, note);
    }

    private string? Step(int step, Optimizer optimizer)
    {
        var layers = weights.Select(weight => new LayerState(weight.Soft(), weight.Bias)).ToList();
        var (loss, gradients) = objective.Differentiate(step, [.. layers.Select(Detached)]);
        losses.Add(loss);
        if (!double.IsFinite(loss))
        {
            return string.Create(CultureInfo.InvariantCulture, $"the loss was no number in step {step + 1}, so training ended with the best state before; a smaller learning rate may help");
        }

        optimizer.Reset();
        Propagate(layers, gradients, [.. weights.Select(weight => weight.Penalty(loss))]);
        optimizer.Step(Rate(step));
        using var noGradients = no_grad();
        foreach (var weight in weights)
        {
            weight.AfterStep(step + 1, settings.Steps);
        }

        return null;
    }

    /// <summary>One call for everything: weight, bias and penalty of a layer may share a part of their graph.</summary>
    private static void Propagate(List<LayerState> layers, IReadOnlyList<LayerState> gradients, List<Tensor?> penalties)
    {
        var ends = layers.Zip(gradients).SelectMany<(LayerState Layer, LayerState Gradient), (Tensor? End, Tensor? Gradient)>(pair =>
                [(pair.Layer.Weight, pair.Gradient.Weight), (pair.Layer.Bias, pair.Gradient.Bias)])
            .Concat(penalties.Select(penalty => (End: penalty, Gradient: penalty is null ? null : ones_like(penalty))))
            .Where(item => item.End is { requires_grad: true } && item.Gradient is not null)
            .Select(item => (End: item.End!, Gradient: item.Gradient!.to(item.End!.dtype, item.End.device))).ToList();
        if (ends.Count > 0)
        {
            autograd.backward([.. ends.Select(item => item.End)], [.. ends.Select(item => item.Gradient)]);
        }
    }

    private double Rate(int step) => settings.Schedule == RateSchedule.Cosine ? (1 + Math.Cos(Math.PI * step / settings.Steps)) / 2 : 1;

    /// <summary>The last step of each of the equal parts that training is cut into.</summary>
    private bool IsCheckpoint(int step)
    {
        long parts = Math.Clamp(settings.Checkpoints, 1, settings.Steps);
        return (step + 1) * parts / settings.Steps > step * parts / settings.Steps;
    }

    private string? Keep(int step)
    {
        using var noGradients = no_grad();
        if (!weights.SelectMany(weight => weight.Groups).SelectMany(group => group.Tensors).All(tensor => tensor.isfinite().all().item<bool>()))
        {
            return string.Create(CultureInfo.InvariantCulture, $"a trained value was no number after step {step + 1}, so training ended with the best state before; a smaller learning rate may help");
        }

        var hard = weights.Select(HardWeight.Of).ToList();
        double loss = Measure(hard);
        if (loss < bestLoss)
        {
            Forget();
            (best, bestLoss, bestStep) = (hard, loss, step + 1);
        }
        else
        {
            hard.ForEach(weight => weight.Dispose());
        }

        return null;
    }

    private double Measure(IReadOnlyList<HardWeight> hard)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        return objective.Measure([.. hard.Select(weight => weight.State)]);
    }

    private void Forget()
    {
        foreach (var weight in best ?? [])
        {
            weight.Dispose();
        }

        best = null;
    }

    private static LayerState Detached(LayerState layer) => new(layer.Weight!.detach(), layer.Bias?.detach());
}

/// <summary>What a training left.</summary>
/// <param name="StartLoss">The loss of the start, as it would be stored.</param>
/// <param name="BestLoss">The loss of the best state.</param>
/// <param name="BestStep">The step that it came after; 0 where nothing was better than the start.</param>
/// <param name="Best">The best state, or null where that is the start; the caller owns it.</param>
/// <param name="Losses">The loss of the soft weights in each step, before it.</param>
/// <param name="Note">Why training ended early, or null.</param>
internal sealed record BlockTrainingResult(double StartLoss, double BestLoss, int BestStep, IReadOnlyList<HardWeight>? Best, IReadOnlyList<double> Losses, string? Note);
