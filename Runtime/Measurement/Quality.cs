using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Native;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Measurement;

/// <summary>Measures how good a model is on batches.</summary>
public static class Quality
{
    /// <summary>Runs a model over batches, without gradients and in evaluation mode, and sums up a measure.</summary>
    /// <param name="pipeline">How the model is run, and its loss.</param>
    /// <param name="model">The model; it stays the caller's and its training mode is restored.</param>
    /// <param name="batches">The batches; disposed one by one. Perplexity and accuracy need class ids as targets.</param>
    /// <param name="metric">The measure.</param>
    /// <param name="cancellation">Ends the run between two batches.</param>
    /// <exception cref="InvalidOperationException">Nothing in the batches can be measured this way; the message says what is missing.</exception>
    public static double Measure(IModelPipeline pipeline, nn.Module model, IEnumerable<Batch> batches, Metric metric, CancellationToken cancellation = default)
    {
        using var noGradients = no_grad();
        bool wasTraining = model.training;
        model.eval();
        try
        {
            var (sum, count) = Sum(pipeline, model, batches, metric, cancellation);
            double mean = count > 0 ? sum / count : throw new InvalidOperationException($"the evaluation data scores nothing, so there is no {metric}; give more data, or targets");
            return metric == Metric.Perplexity ? Math.Exp(mean) : mean;
        }
        finally
        {
            model.train(wasTraining);
        }
    }

    private static (double Sum, long Count) Sum(IModelPipeline pipeline, nn.Module model, IEnumerable<Batch> batches, Metric metric, CancellationToken cancellation)
    {
        double sum = 0;
        long count = 0;
        foreach (var batch in batches)
        {
            cancellation.ThrowIfCancellationRequested();
            FinalizerGate.Drain();
            using (batch)
            using (NewDisposeScope())
            {
                var (batchSum, batchCount) = metric switch
                {
                    Metric.Perplexity => NegativeLogLikelihood(pipeline.Run(model, batch), ClassesOf(batch, metric)),
                    Metric.Accuracy => RightAnswers(pipeline.Run(model, batch), ClassesOf(batch, metric)),
                    Metric.Loss => Loss(pipeline.Loss(model, batch), batch),
                    _ => throw new ArgumentOutOfRangeException(nameof(metric), metric, null),
                };
                sum += batchSum;
                count += batchCount;
            }
        }

        return (sum, count);
    }

    private static Tensor ClassesOf(Batch batch, Metric metric) => batch.Target is { } target && target.dtype == int64
        ? target
        : throw new InvalidOperationException($"{metric} needs class ids as the data's 'target'; measure the loss instead, or give the data an int64 'target'");

    private static (double Sum, long Count) NegativeLogLikelihood(Tensor output, Tensor classes)
    {
        var scores = output.reshape(-1, output.shape[^1]).to(float32);
        var sum = nn.functional.cross_entropy(scores, classes.reshape(-1), ignore_index: Batch.Ignored, reduction: nn.Reduction.Sum);
        return (sum.item<float>(), Batch.Scored(classes));
    }

    private static (double Sum, long Count) RightAnswers(Tensor output, Tensor classes) =>
        (output.argmax(-1).eq(classes).sum().item<long>(), Batch.Scored(classes));

    /// <summary>A batch's mean loss counts once for each thing it is the mean of.</summary>
    private static (double Sum, long Count) Loss(Tensor mean, Batch batch)
    {
        long count = batch.LossCount;
        return count == 0 ? (0, 0) : (mean.to(float64).item<double>() * count, count);
    }
}
