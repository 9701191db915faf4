using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Optimization;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Training;

/// <summary>Trains tensors on data: batches whose gradients are summed, a schedule, clipping, evaluation on held-out data, the best state kept, checkpoints.</summary>
/// <remarks>
/// A step's gradient is that of the mean loss over all its targets, however they are cut into batches. A run that was killed goes on from its last checkpoint and ends with the same bits as
/// one that was not, on the same device with the same number of threads.
/// </remarks>
/// <param name="settings">What the recipe asks for.</param>
/// <param name="work">What is trained, and on what.</param>
public sealed class Trainer(TrainAttribute settings, TrainingWork work)
{
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(2);

    private readonly TrainingPlan plan = new(settings, work.Data.Count, work.Seed);

    /// <summary>Trains to the end, or until the held-out loss falls no more.</summary>
    /// <param name="span">Where the recipe asks for it, for errors.</param>
    /// <param name="cancellation">Stops between steps; the last checkpoint stays.</param>
    /// <exception cref="PipelineException">PDSL3017: a loss or gradient is no number. PDSL3012: a checkpoint cannot be written.</exception>
    public TrainingOutcome Run(SourceSpan span, CancellationToken cancellation)
    {
        using var gradients = enable_grad();
        using var optimizer = new Optimizer(UpdateRules.Groups(settings, work.Tensors));
        using var state = new TrainingState(work.Tensors, optimizer);
        state.Restore(work.Checkpoint, work.Key);
        if (work.Validation is not null && state.Validation.Count == 0)
        {
            Evaluate(state);
        }

        var clock = new ProgressClock(state, plan.Steps, work.Progress);
        while (state.Step < plan.Steps && !IsExhausted(state))
        {
            cancellation.ThrowIfCancellationRequested();
            FinalizerGate.Drain();
            Step(state, optimizer, span);
            if (work.Validation is not null && IsEvaluation(state.Step))
            {
                Evaluate(state);
            }

            clock.Tell(state);
            if (work.Checkpoint is { } path && state.Step % settings.CheckpointEvery == 0 && state.Step < plan.Steps)
            {
                state.Save(path, work.Key);
            }
        }

        if (work.Validation is not null && settings.KeepBest)
        {
            state.ReturnToBest();
        }

        int kept = work.Validation is not null && settings.KeepBest ? state.BestStep : state.Step;
        return new(state.Step, plan.Steps, kept, state.Targets, [.. state.Losses], [.. state.Validation]);
    }

    private bool IsExhausted(TrainingState state) => settings.Patience > 0 && state.EvaluationsSinceBest >= settings.Patience;

    private bool IsEvaluation(int step) => step == plan.Steps || step % (settings.EvaluateEvery > 0 ? settings.EvaluateEvery : plan.StepsPerEpoch) == 0;

    private void Step(TrainingState state, Optimizer optimizer, SourceSpan span)
    {
        var batches = plan.BatchesOf(state.Step).Select(examples => work.Data.Read(examples).To(work.Device)).ToList();
        try
        {
            long targets = batches.Sum(batch => batch.LossCount);
            double rate = plan.Schedule.At(state.Step);
            optimizer.Reset();
            double sum = 0;
            for (int i = 0; i < batches.Count; i++)
            {
                work.MoveTo(new(work.Seed, state.Step, i));
                sum += Differentiate(batches[i], targets);
            }

            if (state.Step == 0)
            {
                TellUnreached();
            }

            double mean = targets > 0 ? sum / targets : 0;
            double norm = optimizer.Clip(settings.Clip > 0 ? settings.Clip : double.PositiveInfinity);
            if (!double.IsFinite(mean) || !double.IsFinite(norm))
            {
                throw Diverged(double.IsFinite(mean) ? "the gradient's norm" : "the loss", double.IsFinite(mean) ? norm : mean, state.Step, rate, span);
            }

            optimizer.Step(rate);
            state.Advance(mean, targets);
        }
        finally
        {
            batches.ForEach(batch => batch.Dispose());
        }
    }

    private void TellUnreached()
    {
        using var scope = NewDisposeScope();
        List<string> unreached = [.. work.Tensors.Where(tensor => tensor.Value.grad is null).Select(tensor => tensor.Name)];
        if (unreached.Count > 0)
        {
            work.Unreached(unreached);
        }
    }

    /// <summary>Adds a batch's share of the gradient of the mean loss.</summary>
    /// <returns>The sum of its targets' losses.</returns>
    private double Differentiate(Batch batch, long targets)
    {
        long count = batch.LossCount;
        if (count == 0)
        {
            return 0;
        }

        using var scope = NewDisposeScope();
        var loss = work.Loss(batch);
        (count == targets ? loss : loss * ((double)count / targets)).backward();
        return loss.to(float64).item<double>() * count;
    }

    private void Evaluate(TrainingState state)
    {
        using var noGradients = no_grad();
        work.MoveTo(null);
        double sum = 0;
        long targets = 0;
        foreach (int[] examples in Enumerable.Range(0, work.Validation!.Count).Chunk(settings.BatchSize))
        {
            FinalizerGate.Drain();
            using var scope = NewDisposeScope();
            using var batch = work.Validation.Read(examples).To(work.Device);
            long count = batch.LossCount;
            if (count > 0)
            {
                sum += work.Loss(batch).to(float64).item<double>() * count;
                targets += count;
            }
        }

        state.Judge(targets > 0 ? sum / targets : double.NaN);
    }

    private PipelineException Diverged(string what, double value, int step, double rate, SourceSpan span) => new(
        DiagnosticIds.TrainingDiverged,
        string.Create(
            CultureInfo.InvariantCulture,
            $"training diverged: {what} was {(double.IsNaN(value) ? "NaN" : "infinite")} in step {step + 1} of {plan.Steps}, at a learning rate of {UpdateRules.Rule(settings).LearningRate * rate:g3}; lower 'learningRate' (a tenth is a good next try), add 'warmUp'{(settings.Clip > 0 ? "" : ", put back 'clip'")}, and look for data that the original model gives no finite loss. Nothing is written"),
        span);

    /// <summary>Says now and then how far it is, how fast, and how long it will take.</summary>
    private sealed class ProgressClock(TrainingState start, int steps, Action<string> progress)
    {
        private readonly Stopwatch watch = Stopwatch.StartNew();
        private readonly int firstStep = start.Step;
        private readonly long firstTarget = start.Targets;
        private TimeSpan last;

        public void Tell(TrainingState state)
        {
            // The longer it takes, the rarer: twenty lines for a minute, forty for two hours.
            if (watch.Elapsed < last * 1.2 + ProgressInterval && state.Step < steps)
            {
                return;
            }

            last = watch.Elapsed;
            double seconds = Math.Max(1e-3, watch.Elapsed.TotalSeconds);
            double left = seconds / (state.Step - firstStep) * (steps - state.Step);
            string held = state.Validation is [.., var judged] ? string.Create(CultureInfo.InvariantCulture, $", held out {judged.Loss:0.000}") : "";
            progress(string.Create(
                CultureInfo.InvariantCulture,
                $"step {state.Step} of {steps}, loss {state.Losses[^1].Loss:0.000}{held}, {(state.Targets - firstTarget) / seconds:0} targets/s, about {left:0} s to go"));
        }
    }
}
