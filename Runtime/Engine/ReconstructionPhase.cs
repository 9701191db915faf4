using System.Diagnostics;
using System.Globalization;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Native;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Trains the layers whose steps ask for it, block by block in the order of the model, so that each block's outputs are those of the original.</summary>
/// <remarks>
/// The targets are what the block gives in the original model; its arguments are what reaches it when everything before it is compressed, in its final state. Each finished block is in the cache,
/// under everything it depends on, the blocks before it included: a run that was killed goes on at the block where it stopped and leaves the same bytes. One thread computes, for the
/// tensor library's sums depend on how many do; only one block's arguments and targets are in memory.
/// </remarks>
internal sealed class ReconstructionPhase(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    private readonly Dictionary<string, nn.Module> modules = ModelLayer.Find(run.Model).ToDictionary(layer => layer.Path, layer => layer.Module, StringComparer.Ordinal);

    private readonly Lazy<DataSource> data = new(() => run.OpenData(RecipeFiles.Calibration, run.Recipe.Calibrate!.Samples, run.Recipe.Calibrate.SequenceLength));

    /// <summary>Replaces the layers whose steps train by their trained results.</summary>
    /// <param name="solved">The solved layers.</param>
    /// <param name="statistics">The file with each layer's statistics, by path.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <exception cref="PipelineException">PDSL1005: there is no calibration data. PDSL1007: the layers of a block ask for different trainings. PDSL3006: a block is never called. PDSL3007: it cannot be trained.</exception>
    public void Reconstruct(SolvedLayers solved, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        RequireData(run);
        using var thread = new ThreadCount(1);
        run.Model.to(options.TensorDevice);
        try
        {
            UserCode.Call(run.Recipe, "reconstruction failed", () =>
            {
                ReconstructAll(solved, statistics, cancellation);
                return true;
            });
        }
        finally
        {
            run.Model.to(CPU);
        }
    }

    private void ReconstructAll(SolvedLayers solved, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        foreach (var parameter in run.Model.parameters())
        {
            parameter.requires_grad = false;
        }

        var calls = store.Lines(BlockMembers.OrderKey(run, options), () =>
            [.. Capture(1, cancellation).FirstCalls(modules.Select(module => (module.Key, module.Value))).OrderBy(call => call.Value).Select(call => call.Key)]);
        foreach (var members in BlockMembers.InOrder([.. solved.Layers.Values.Select(layer => layer.Unit)], modules, calls))
        {
            List<SolvedUnit> Solved(IEnumerable<LayerUnit> units) => [.. units.Select(unit => solved.Layers[unit.Path])];
            var layers = Solved(members.Layers);
            var block = new TrainedBlock(members.Path, ModuleCalls.Of(modules[members.Path])!, members.Settings, layers, Solved(members.Before), Solved(members.Others));
            string key = members.Key(run, options, solved.Layers.ToDictionary(layer => layer.Key, layer => layer.Value.Key));
            var keys = members.LayerKeys(key);
            if (IsMissing(keys))
            {
                using var claim = store.Claim(key, cancellation);
                if (IsMissing(keys))
                {
                    var watch = Stopwatch.StartNew();
                    Train(block, keys, statistics, cancellation);
                    observer.Record(WorkRates.Entry(new CostModel(run).Block(members), options.Device, watch.Elapsed.TotalSeconds));
                }
            }

            Adopt(solved, layers, keys);
        }
    }

    /// <summary>Refuses a recipe that has nothing to train on.</summary>
    /// <exception cref="PipelineException">PDSL1005: there is no calibration data.</exception>
    public static void RequireData(PreparedRun run)
    {
        if (run.Recipe.Calibrate is null)
        {
            throw new PipelineException(DiagnosticIds.MissingSetting, $"recipe '{run.Recipe.Name}' has steps that train on calibration data; add 'calibrate'", run.Recipe.Span);
        }
    }

    private bool IsMissing(Dictionary<string, string> keys) => keys.Values.Any(layer => store.Find(layer) is null);

    private void Adopt(SolvedLayers solved, List<SolvedUnit> layers, Dictionary<string, string> keys)
    {
        foreach (var layer in layers)
        {
            string key = keys[layer.Unit.Path];
            var result = StoredLayer.Open(store.Find(key)!);
            foreach (string note in result.Summary.Notes.Except(layer.Summary.Notes))
            {
                observer.Report(new(DiagnosticIds.SolverAdjusted, Severity.Warning, $"layer '{layer.Unit.Path}': {note}", layer.Unit.Plan.Span));
            }

            layer.Dispose();
            solved.Layers[layer.Unit.Path] = new(layer.Unit, key, result);
        }
    }

    private void Train(TrainedBlock block, Dictionary<string, string> keys, IReadOnlyDictionary<string, string> statistics, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        var capture = Capture(block.Settings.BatchSize, cancellation);
        var samples = block.Samples(capture);
        var trained = block.Layers.Select(layer => (Layer: layer, Statistics: StatisticsOf(layer, statistics))).ToList();
        var weights = trained.Select(item => item.Layer.Unit.Start(item.Statistics, item.Layer.Result)).ToList();
        var students = new List<StudentLayer>();
        var others = block.Others.Select(other => new TemporaryWeight(other.Unit.Layer, other.Result.Weight, other.Result.Bias)).ToList();
        try
        {
            students.AddRange(block.Layers.Zip(weights, (layer, weight) => new StudentLayer(layer.Unit.Layer, layer.Result.Weight, layer.Result.Bias, weight.Bias is not null)));
            using var error = new BlockError(block.Calls, students, samples, block.Settings.HeldOut, run.Recipe.Seed);
            var training = new BlockTraining(weights, error, block.Settings, () =>
            {
                cancellation.ThrowIfCancellationRequested();
                FinalizerGate.Drain();
            });
            var start = block.Layers.Select(layer => new HardWeight(layer.Result.Weight, layer.Result.Bias)).ToList();
            var result = training.Run(start);
            var best = result.Best ?? start;
            Store(block, keys, best, weights, new BlockFacts(error, result).All(start, best, Rounded(trained)), result.Note);
            observer.Record($"block {run.Recipe.Name} {block.Path}");
            observer.Progress(string.Create(CultureInfo.InvariantCulture, $"{run.Recipe.Name}: block {block.Path} from {result.StartLoss:g4} to {result.BestLoss:g4} in {watch.Elapsed.TotalSeconds:0.0} s"));
            foreach (var weight in result.Best ?? [])
            {
                weight.Dispose();
            }
        }
        finally
        {
            students.ForEach(student => student.Dispose());
            others.ForEach(other => other.Dispose());
            weights.ForEach(weight => weight.Dispose());
        }
    }

    private void Store(TrainedBlock block, Dictionary<string, string> keys, IReadOnlyList<HardWeight> best, List<TrainableWeight> trained, IReadOnlyDictionary<string, double> facts, string? note)
    {
        foreach (var (layer, weight, left) in block.Layers.Zip(best, trained))
        {
            var all = new SortedDictionary<string, double>(left.Facts.Concat(facts).ToDictionary(), StringComparer.Ordinal);
            var result = layer.Unit.With(layer.Result, weight.Weight, weight.Bias, all, note is null ? [] : [note]);
            store.Put(keys[layer.Unit.Path], result.Write);
        }
    }

    /// <summary>Null unless every layer has a grid to round to.</summary>
    private static List<HardWeight>? Rounded(List<(SolvedUnit Layer, LayerStatistics Statistics)> layers)
    {
        var rounded = layers.Select(item => item.Layer.Unit.RoundToNearest(item.Statistics)).ToList();
        if (!rounded.Contains(null))
        {
            return [.. rounded.Zip(layers, (weight, item) => new HardWeight(weight!, item.Layer.Result.Bias))];
        }

        rounded.ForEach(weight => weight?.Dispose());
        return null;
    }

    private static LayerStatistics StatisticsOf(SolvedUnit layer, IReadOnlyDictionary<string, string> files) =>
        files.TryGetValue(layer.Unit.Path, out string? file) ? StatisticsFile.Read(file) : LayerStatistics.None;

    private BlockCapture Capture(int batchSize, CancellationToken cancellation) => new(
        pipeline, run.Model, () => SampleBatches.Of(pipeline.CalibrationBatches(data.Value), batchSize).Select(batch => batch.To(options.TensorDevice)), cancellation);
}
