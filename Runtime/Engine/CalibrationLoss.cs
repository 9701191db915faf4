using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>The model's own loss on the calibration data, with some layers compressed; each value is measured once and cached.</summary>
internal sealed class CalibrationLoss(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options)
{
    private const string Original = "original";

    private readonly Lazy<DataSource> data = new(() => run.OpenData(RecipeFiles.Calibration, run.Recipe.Calibrate!.Samples, run.Recipe.Calibrate.SequenceLength));

    /// <summary>The loss of the original model.</summary>
    public double Baseline(CancellationToken cancellation) => Measure(Original, () => [], cancellation);

    /// <summary>The loss with one of these layers compressed.</summary>
    public double With(TrialLayers layers, string path, CancellationToken cancellation) =>
        Measure(NameOf(layers.Names.Where(name => name.Path == path)), () => [.. layers.Layers.Where(layer => layer.Unit.Path == path)], cancellation);

    /// <summary>What the loss gains with these layers compressed at once.</summary>
    public double Increase(TrialLayers layers, CancellationToken cancellation) => Measure(NameOf(layers.Names), () => layers.Layers, cancellation) - Baseline(cancellation);

    /// <inheritdoc cref="Increase(TrialLayers, CancellationToken)"/>
    public double Increase(IReadOnlyList<SolvedUnit> layers, CancellationToken cancellation) =>
        Measure(NameOf(layers.Select(layer => (layer.Unit.Path, layer.Key))), () => layers, cancellation) - Baseline(cancellation);

    /// <summary>Why the data has no loss, or null where it has one; asked once and cached.</summary>
    public string? Missing() => store.Lines(Key("missing"), () => Try() is { } reason ? [reason] : []) is [var known, ..] ? known : null;

    private string? Try()
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        try
        {
            using var batch = pipeline.CalibrationBatches(data.Value).First();
            pipeline.Loss(run.Model, batch);
            return null;
        }
        catch (InvalidOperationException failure)
        {
            return failure.Message.Split('\n')[0];
        }
    }

    private static string NameOf(IEnumerable<(string Path, string Key)> layers) => string.Join('\n', layers.Select(layer => layer.Key + " " + layer.Path));

    private double Measure(string weights, Func<IReadOnlyList<SolvedUnit>> layers, CancellationToken cancellation) => store.Number(Key(weights), () =>
    {
        using var thread = new ThreadCount(1);
        var solved = layers();
        var device = options.TensorDevice;
        run.Model.to(device);
        var installed = solved.Select(layer => new TemporaryWeight(layer.Unit.Layer, layer.Result.Weight, layer.Result.Bias)).ToList();
        try
        {
            return UserCode.Call(run.Recipe, "measuring the calibration loss failed", () => Quality.Measure(
                pipeline, run.Model, pipeline.CalibrationBatches(data.Value).Select(batch => batch.To(device)), Metric.Loss, cancellation));
        }
        finally
        {
            installed.ForEach(weight => weight.Dispose());
            run.Model.to(CPU);
        }
    });

    private string Key(string weights) => run.ModelKey("calibration loss", RecipeFiles.Calibration, options)
        .Add("weights", weights)
        .Add("samples", run.Recipe.Calibrate!.Samples)
        .Add("length", run.Recipe.Calibrate.SequenceLength)
        .ToString();
}
