using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Measures quality before and after, and holds the gate.</summary>
internal sealed class EvaluationPhase(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Stands for the digest of weights that nothing changed.</summary>
    public const string Original = "original";

    private const int NamedLayers = 3;

    /// <summary>Measures the model with its original and with its compressed weights; null when the recipe does not ask.</summary>
    /// <param name="solved">The compressed layers; they are put into the run's model.</param>
    /// <param name="artifact">The digest of the artifact's weights.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public QualityRecord? Measure(SolvedLayers solved, string artifact, CancellationToken cancellation)
    {
        if (run.Recipe.Evaluate is not { } evaluate)
        {
            return null;
        }

        observer.Progress($"{run.Recipe.Name}: evaluating on {evaluate.Data}");
        double before = Measure(Original, () => { }, cancellation);
        RequireMeasurable(evaluate, before);
        double after = Measure(artifact, () =>
        {
            foreach (var layer in solved.Layers.Values)
            {
                LayerInstaller.Install(layer.Unit.Layer, layer.Result.Weight, layer.Result.Bias, pipeline.IsOnlyLookedUp(layer.Unit.Path));
            }
        }, cancellation);
        var quality = Compared(evaluate, before, after);
        observer.Progress($"{run.Recipe.Name}: {InWords(quality)}");
        return quality;
    }

    /// <summary>Whether quality is beyond the limit of the gate.</summary>
    public static bool IsRefused(QualityRecord? quality) => quality is { MaxRegression: { } limit } && !(quality.Regression <= limit);

    /// <summary>What is said of quality beyond the limit (PDSL3008).</summary>
    /// <param name="quality">The measured quality.</param>
    /// <param name="solved">The compressed layers.</param>
    /// <param name="report">Full path of the report of what was refused.</param>
    public PipelineException Refusal(QualityRecord quality, SolvedLayers solved, string report) =>
        new(DiagnosticIds.GateFailed, Refusal(quality, quality.MaxRegression!.Value, solved, report), run.Recipe.Evaluate!.Span);

    /// <summary>Refuses a measurement that nothing can be compared with.</summary>
    /// <exception cref="PipelineException">PDSL3005: the quality of the original model is no number, or zero.</exception>
    public static void RequireMeasurable(Evaluation evaluate, double before)
    {
        if (!double.IsFinite(before) || before == 0)
        {
            throw new PipelineException(DiagnosticIds.BrokenData, string.Create(CultureInfo.InvariantCulture, $"the original model has {NameOf(evaluate.Metric)} {before} on '{evaluate.Data}', which no loss of quality can be measured against; check the data, its targets and the model"), evaluate.DataSpan);
        }
    }

    /// <summary>Quality before and after, and what was lost.</summary>
    public static QualityRecord Compared(Evaluation evaluate, double before, double after) =>
        new(NameOf(evaluate.Metric), before, after, evaluate.Metric == Metric.Accuracy ? (before - after) / before : (after - before) / before, evaluate.MaxRegression);

    /// <summary>The same in words.</summary>
    public static string InWords(QualityRecord quality) =>
        string.Create(CultureInfo.InvariantCulture, $"{quality.Metric} {quality.Before:0.####} before, {quality.After:0.####} after ({quality.Regression:+0.0%;-0.0%;0.0%})");

    private static string NameOf(Metric metric) => metric.ToString().ToLowerInvariant();

    /// <summary>The content key of a measurement.</summary>
    /// <param name="weights">The digest of the artifact's weights, or <see cref="Original"/>.</param>
    public string Key(string weights)
    {
        var evaluate = run.Recipe.Evaluate!;
        return run.ModelKey("evaluation", RecipeFiles.Evaluation, options)
            .Add("weights", weights)
            .Add("length", evaluate.SequenceLength)
            .Add("metric", evaluate.Metric.ToString())
            .ToString();
    }

    /// <summary>The quality with other weights in some of the compressed layers; the model is as before afterwards.</summary>
    /// <param name="solved">The compressed layers.</param>
    /// <param name="instead">What stands in some of them, by path.</param>
    /// <param name="state">What identifies all these weights.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public double Of(SolvedLayers solved, IReadOnlyDictionary<string, Expression> instead, string state, CancellationToken cancellation)
    {
        var standing = new List<TemporaryWeight>();
        try
        {
            return Measure(state, () =>
            {
                run.Model.to(options.TensorDevice);
                foreach (var layer in solved.Layers.Values)
                {
                    standing.Add(new(layer.Unit.Layer, instead.GetValueOrDefault(layer.Unit.Path, layer.Result.Weight), layer.Result.Bias));
                }
            }, cancellation);
        }
        finally
        {
            standing.ForEach(weight => weight.Dispose());
        }
    }

    private static string Refusal(QualityRecord quality, double limit, SolvedLayers solved, string report)
    {
        var worst = solved.Layers.Values
            .OrderByDescending(layer => layer.Summary.Facts["relativeError"])
            .Take(NamedLayers)
            .Select(layer => string.Create(CultureInfo.InvariantCulture, $"'{layer.Unit.Path}' (relative error {layer.Summary.Facts["relativeError"]:0.000})"));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{quality.Metric} went from {quality.Before:0.####} to {quality.After:0.####}, a regression of {quality.Regression:0.0%} where {limit:0.0%} is allowed; the artifact is not replaced. Largest errors: {string.Join(", ", worst)}; give these layers more rank or bits, or raise the limit; the report of what was refused is '{report}'");
    }

    private double Measure(string weights, Action install, CancellationToken cancellation)
    {
        var evaluate = run.Recipe.Evaluate!;
        string key = Key(weights);
        using var claim = store.Claim(key, cancellation);
        return store.Number(key, () =>
        {
            install();
            var device = options.TensorDevice;
            var data = run.OpenData(RecipeFiles.Evaluation, 0, evaluate.SequenceLength);
            run.Model.to(device);
            observer.Record($"evaluation {run.Recipe.Name}");
            var watch = Stopwatch.StartNew();
            double quality = UserCode.Call(run.Recipe, "evaluation failed", () => Quality.Measure(
                pipeline, run.Model, pipeline.EvaluationBatches(data).Select(batch => batch.To(device)), evaluate.Metric, cancellation));
            observer.Record(WorkRates.Entry(new CostModel(run).Evaluate(), options.Device, watch.Elapsed.TotalSeconds));
            return quality;
        });
    }
}
