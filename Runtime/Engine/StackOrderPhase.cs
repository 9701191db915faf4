using System.Diagnostics;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Allocation;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Measurement;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Orders the blocks of all stacked layers by what they do for the model's loss, so that any number of bytes is used well (BitStack, arXiv:2410.23918).</summary>
/// <remarks>
/// Every other layer has its original weight meanwhile, so that the order depends on the stacks alone; afterwards the model has all original weights
/// again. The score is the mean loss: perplexity is its exponential and gives the same order. Each score is in the cache by itself.
/// </remarks>
internal sealed class StackOrderPhase(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    private int evaluations;

    /// <summary>The order of blocks, or null when no layer is a stack.</summary>
    /// <param name="solved">The compressed layers.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="PipelineException">PDSL1005: there is no calibration data. PDSL3007: no score is a number.</exception>
    public OrderedBlocks? Order(SolvedLayers solved, CancellationToken cancellation)
    {
        var stacks = solved.Layers.Values.Where(layer => StepOf(layer.Unit) is not null).ToList();
        if (stacks.Count == 0)
        {
            return null;
        }

        // All stacks are ordered in one way: a recipe in which they differ is refused before it is run.
        var step = StepOf(stacks[0].Unit)!;
        var layers = stacks.Select(stack => (stack.Unit.Path, Blocks: Stack.Blocks(stack.Result.Weight)))
            .Select(stack => new StackedLayer(stack.Path, stack.Blocks.Count, stack.Blocks[0].Bytes)).ToList();
        return new(layers, layers.All(layer => layer.Blocks == 1) ? [] : Order(stacks, layers, step, cancellation));
    }

    /// <summary>The step that leaves a stack, or null.</summary>
    public static IStackStep? StepOf(LayerUnit layer) => layer.Plan.Steps.OfType<IStackStep>().LastOrDefault();

    private IReadOnlyList<int> Order(List<SolvedUnit> stacks, List<StackedLayer> layers, IStackStep step, CancellationToken cancellation)
    {
        var calibrate = RequireData(run);
        observer.Progress($"{run.Recipe.Name}: ordering {layers.Sum(layer => layer.Blocks)} blocks of {stacks.Count} layers on {calibrate.Data}");
        var device = options.TensorDevice;
        var data = run.OpenData(RecipeFiles.Calibration, step.ScoringSamples, calibrate.SequenceLength);
        var watch = Stopwatch.StartNew();
        using var model = new StackedModel(run, stacks);
        double Score(int level, int? layer) => Cached(Key(stacks, step, level, layer), () =>
        {
            run.Model.to(device);
            using var raised = model.Set(level, layer);
            return UserCode.Call(run.Recipe, "scoring failed", () => Quality.Measure(
                pipeline, run.Model, pipeline.CalibrationBatches(data).Select(batch => batch.To(device)), Metric.Loss, cancellation));
        });

        var levels = Enumerable.Range(1, layers.Max(layer => layer.Blocks) - 1).ToList();
        var scores = levels.Select(level => layers.Select((layer, i) => layer.Blocks > level ? Score(level, i) : double.NaN).ToArray()).ToList();
        double[]? baselines = step.Order == StackOrder.GainPerByte ? [.. levels.Select(level => Score(level, null))] : null;
        if (evaluations > 0)
        {
            observer.Record($"scores {run.Recipe.Name} evaluations={evaluations}");
            observer.Record(WorkRates.Entry(new CostModel(run).Scores(step.ScoringSamples, evaluations), options.Device, watch.Elapsed.TotalSeconds));
        }

        return Order(() => new(layers, scores), baselines);
    }

    /// <summary>The calibration data that blocks are scored on.</summary>
    /// <exception cref="PipelineException">PDSL1005: there is none.</exception>
    public static Calibration RequireData(PreparedRun run) => run.Recipe.Calibrate ?? throw new PipelineException(
        DiagnosticIds.MissingSetting, $"recipe '{run.Recipe.Name}' has stacks whose blocks are ordered by calibration data; add 'calibrate'", run.Recipe.Span);

    private IReadOnlyList<int> Order(Func<BlockScores> scores, double[]? baselines)
    {
        try
        {
            return baselines is null ? scores().ByScore() : scores().ByGainPerByte(baselines);
        }
        catch (InvalidOperationException failure)
        {
            throw new PipelineException(DiagnosticIds.LayerFailed, $"the blocks of recipe '{run.Recipe.Name}' cannot be ordered: {failure.Message}", run.Recipe.Span, failure);
        }
    }

    private double Cached(string key, Func<double> compute) => store.Number(key, () =>
    {
        evaluations++;
        return compute();
    });

    /// <summary>The content key of the score of some blocks.</summary>
    /// <param name="stacks">The stacked layers.</param>
    /// <param name="step">How they are ordered.</param>
    /// <param name="level">Blocks of every layer.</param>
    /// <param name="layer">The layer that has one more, or null.</param>
    public string Key(IReadOnlyList<KeyedUnit> stacks, IStackStep step, int level, int? layer)
    {
        var key = run.ModelKey("score", RecipeFiles.Calibration, options)
            .Add("samples", step.ScoringSamples)
            .Add("length", run.Recipe.Calibrate!.SequenceLength)
            .Add("level", level)
            .Add("raised", layer is { } raised ? stacks[raised].Unit.Path : "");
        foreach (var stack in stacks)
        {
            key.Add("path", stack.Unit.Path).Add("stack", stack.Key);
        }

        return key.ToString();
    }
}

/// <summary>The stacked layers of a model with the order of their blocks.</summary>
/// <param name="Layers">The layers.</param>
/// <param name="Order">Which of them gets its next block, for each block after the first ones.</param>
internal sealed record OrderedBlocks(IReadOnlyList<StackedLayer> Layers, IReadOnlyList<int> Order);
