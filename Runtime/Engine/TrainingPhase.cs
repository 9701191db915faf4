using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using PipelineDsl.Runtime.Numerics;
using PipelineDsl.Runtime.Planning;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Training;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Trains what steps leave open, all layers together, in the model as the other steps leave it.</summary>
/// <remarks>
/// The model stays in evaluation mode: what it drops or averages at random in training belongs to weights that are frozen here. What was trained is in the cache under everything it depends on, the number of
/// threads included, for the tensor library's sums depend on it; a killed run goes on from its last checkpoint and leaves the same bytes.
/// </remarks>
internal sealed class TrainingPhase(IModelPipeline pipeline, PreparedRun run, ContentStore store, RunOptions options, IRunObserver observer)
{
    /// <summary>Raised whenever the same input gives another result.</summary>
    private const int Version = 1;

    internal const string OutcomeEntry = "outcome";

    /// <summary>Not the granted cores, which differ from build to build.</summary>
    private static readonly int Threads = Environment.ProcessorCount;

    /// <summary>Replaces the layers whose steps are trained by their trained results.</summary>
    /// <param name="solved">The solved layers.</param>
    /// <param name="cancellation">Stops between steps; the last checkpoint stays.</param>
    /// <returns>What was trained, which the caller owns; null when the recipe trains nothing.</returns>
    /// <exception cref="PipelineException">PDSL3017: training diverged. PDSL3006: a layer is never called. PDSL3005: the data cannot be used. PDSL3007: an adapter does not fit.</exception>
    public TrainedModel? Train(SolvedLayers solved, CancellationToken cancellation)
    {
        if (run.Recipe.Train is not { } request)
        {
            return null;
        }

        var layers = solved.Layers.Values.Where(layer => layer.Unit.Trained is not null).ToList();
        RequireLayers(layers.Count, request);

        var reader = new TrainingDataReader(request.Settings, run.Paths.GetValueOrDefault(RecipeFiles.Tokenizer), observer.Report);
        string key = Key(solved.Layers.Values, request);
        string checkpoint = Path.Combine(options.CacheDirectory, "training", key + ".safetensors");
        string file = store.FindOrMake(key, () => TrainAll(solved, layers, request, reader, key, checkpoint, cancellation), cancellation);

        // A build that was killed between the result and this line leaves its checkpoint to the next one.
        if (File.Exists(checkpoint))
        {
            File.Delete(checkpoint);
        }

        return Adopt(solved, layers, request, key, file);
    }

    private string TrainAll(SolvedLayers solved, List<SolvedUnit> layers, FineTuning request, TrainingDataReader reader, string key, string checkpoint, CancellationToken cancellation)
    {
        observer.Progress($"{run.Recipe.Name}: training {layers.Count} layers on {request.Settings.Data}");
        var data = reader.Read(run.Paths[RecipeFiles.Training]);
        var heldOut = run.Paths.TryGetValue(RecipeFiles.Validation, out string? validation) ? reader.Read(validation) : null;
        if (heldOut is not null && run.Sources[RecipeFiles.Validation].Sha256 == run.Sources[RecipeFiles.Training].Sha256)
        {
            observer.Report(new(DiagnosticIds.BrokenData, Severity.Warning, "'validation' holds the training data itself, so its loss tells nothing about other text; name data that is not trained on", request.SpanOf(nameof(TrainAttribute.Validation))));
        }

        using var threads = new ThreadCount(Threads);
        using var scope = NewDisposeScope();
        var device = options.TensorDevice;
        run.Model.to(device);
        foreach (var parameter in run.Model.parameters())
        {
            parameter.requires_grad = false;
        }

        var others = new List<IDisposable>();
        var adapters = new List<(SolvedUnit Layer, Adapter Adapter)>();
        try
        {
            foreach (var layer in solved.Layers.Values.Where(layer => layer.Unit.Trained is null || layer.Summary.BiasBytes is not null))
            {
                others.Add(new TemporaryWeight(layer.Unit.Layer, layer.Result.Weight, layer.Result.Bias));
            }

            UserCode.Call(run.Recipe, "training failed", () => RequireReached(layers, data));
            foreach (var layer in layers)
            {
                adapters.Add((layer, AttachedTo(layer, device)));
                others.Add(AdapterInstaller.Install(layer.Unit.Layer, adapters[^1].Adapter));
            }

            var recomputed = request.Settings.GradientCheckpointing ? Recomputed([.. adapters.Select(item => (item.Layer.Unit.Path, item.Adapter))], request) : null;
            others.AddRange(recomputed is null ? [] : [recomputed]);
            var tensors = adapters.SelectMany(item => item.Adapter.Parameters.Select(parameter => new TrainedTensor($"{item.Layer.Unit.Path}.{parameter.Name}", parameter.Value))).ToList();
            var trainer = new Trainer(request.Settings, new()
            {
                Loss = batch => pipeline.Loss(run.Model, batch),
                Tensors = tensors,
                Data = data,
                Validation = heldOut,
                Seed = run.Recipe.Seed,
                Device = device,
                MoveTo = position =>
                {
                    recomputed?.Forget();
                    adapters.ForEach(item => item.Adapter.Pass = position is { } at ? new(at.Seed, item.Layer.Unit.Path, at.Step, at.Batch) : null);
                },
                Unreached = names => throw Unreached([.. layers.Where(layer => names.Any(name => name.StartsWith(layer.Unit.Path + ".", StringComparison.Ordinal)))]),
                Checkpoint = checkpoint,
                Key = key,
                Progress = text => observer.Progress($"{run.Recipe.Name}: {text}"),
            });
            bool isWhole = !File.Exists(checkpoint);
            var watch = Stopwatch.StartNew();
            var outcome = UserCode.Call(run.Recipe, "training failed", () => trainer.Run(request.Span, cancellation));
            observer.Record($"train {run.Recipe.Name} steps={outcome.Steps.ToString(CultureInfo.InvariantCulture)}");
            if (isWhole && outcome.Steps == outcome.PlannedSteps)
            {
                observer.Record(WorkRates.Entry(new CostModel(run).Train(request), options.Device, watch.Elapsed.TotalSeconds));
            }

            return store.Put(key, path => SafetensorsWriter.Write(
                path,
                tensors.Select(tensor => KeyValuePair.Create(tensor.Name, tensor.Value.detach().cpu())),
                new Dictionary<string, string> { [OutcomeEntry] = JsonSerializer.Serialize(outcome) }));
        }
        finally
        {
            others.Reverse<IDisposable>().ToList().ForEach(other => other.Dispose());
            adapters.ForEach(item => item.Adapter.Dispose());
            run.Model.to(CPU);
        }
    }

    private RecomputedBlocks Recomputed(IReadOnlyList<(string Path, Adapter Adapter)> adapters, FineTuning request)
    {
        var blocks = new RecomputedBlocks(ModelLayer.Find(run.Model).ToDictionary(layer => layer.Path, layer => layer.Module, StringComparer.Ordinal), adapters);
        return blocks.Paths.Count > 0 ? blocks : throw new PipelineException(
            DiagnosticIds.ContradictorySettings,
            "'gradientCheckpointing' computes repeated blocks again, and the model repeats none that can be called, such as the elements of a ModuleList; drop it, and lower 'batchSize' with more 'accumulation' to save memory",
            request.SpanOf(nameof(TrainAttribute.GradientCheckpointing)));
    }

    /// <summary>Takes over what was trained, from its file, whether it was trained now or earlier.</summary>
    private TrainedModel Adopt(SolvedLayers solved, List<SolvedUnit> layers, FineTuning request, string key, string path)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        using var file = SafetensorsFile.Open(path);
        var outcome = JsonSerializer.Deserialize<TrainingOutcome>(file.Metadata[OutcomeEntry])!;
        var adapters = new SortedDictionary<string, Adapter>(StringComparer.Ordinal);
        var weights = new SortedDictionary<string, Expression>(StringComparer.Ordinal);
        try
        {
            foreach (var layer in layers)
            {
                var unit = layer.Unit;
                var adapter = adapters[unit.Path] = AttachedTo(layer, CPU);
                weights[unit.Path] = layer.Result.Weight;
                foreach (var (name, value) in adapter.Parameters)
                {
                    value.copy_(file.Read($"{unit.Path}.{name}"));
                }

                var before = layer.Result;
                solved.Layers[unit.Path] = new(unit, LayerKey(key, unit.Path), Trained(before, unit.Trained!, adapter));
            }

            var settings = request.Settings;
            return new(adapters, weights, new()
            {
                Optimizer = SettingDescriptor.Format(settings.Optimizer),
                LearningRate = UpdateRules.Rule(settings).LearningRate,
                TrainedParameters = adapters.Values.Sum(adapter => adapter.ParameterCount),
                ModelParameters = run.Model.parameters().Sum(parameter => parameter.numel()),
                Steps = outcome.Steps,
                PlannedSteps = outcome.PlannedSteps,
                Tokens = outcome.Targets,
                KeptStep = outcome.KeptStep,
                Losses = TrainingRecord.Thin(outcome.Losses),
                Validation = outcome.Validation,
            });
        }
        catch
        {
            new TrainedModel(adapters, weights, null!).Dispose();
            throw;
        }
    }

    /// <summary>The content key of a trained layer.</summary>
    /// <param name="training">The key of what is trained.</param>
    /// <param name="path">The layer's path.</param>
    public static string LayerKey(string training, string path) => new ContentKey("trained").Add("training", training).Add("layer", path).ToString();

    private static SolvedLayer Trained(SolvedLayer before, Step step, Adapter adapter)
    {
        using var scope = NewDisposeScope();
        var weight = adapter.ToExpression(step is Adapt ? before.Weight : before.Weight.Parts[0]);
        var old = before.Weight.Materialize().to(float64);
        double norm = old.norm().item<double>();
        double moved = (weight.Materialize().to(float64) - old).norm().item<double>();
        var facts = new SortedDictionary<string, double>(before.Facts, StringComparer.Ordinal)
        {
            ["relativeChange"] = norm == 0 ? 0 : moved / norm,
            ["trainedNumbers"] = adapter.ParameterCount,
        };
        return before with { Weight = weight, Facts = facts };
    }

    /// <summary>The layer's adapter at its start; the same wherever it is made.</summary>
    private Adapter AttachedTo(SolvedUnit layer, Device device)
    {
        var unit = layer.Unit;
        try
        {
            using var weight = layer.Result.Weight.To(device);
            if (unit.Trained is not Adapt step)
            {
                return LoraMethod.Attach(weight) ?? throw new ArgumentException($"what '{StepCatalog.Of(unit.Trained!).Name}' left has no factors to train");
            }

            if (weight is not Dense && unit.Layer.Kind == LayerKinds.Linear)
            {
                return AdapterCatalog.For(step).Attach(step, weight, SeedOf(unit.Path));
            }

            using var scope = NewDisposeScope();
            return step.Attach(weight.Materialize().to(unit.Layer.Weight.dtype).reshape(unit.Layer.Weight.shape), LayerOperations.Of(unit.Layer.Module), SeedOf(unit.Path));
        }
        catch (Exception failure) when (failure is ArgumentException or NotSupportedException)
        {
            throw new PipelineException(DiagnosticIds.LayerFailed, $"layer '{unit.Path}' [{unit.Plan.Shape.Rows} × {unit.Plan.Shape.Columns}], {unit.Plan.Describe()}: {failure.Message}", unit.Plan.Span, failure);
        }
    }

    /// <summary>Each layer draws numbers of its own.</summary>
    private long SeedOf(string path) => Convert.ToInt64(new ContentKey("adapter").Add("seed", run.Recipe.Seed).Add("layer", path).ToString()[..15], 16);

    /// <summary>Runs the first example with the weights as they are: an adapter works through the calls of its layer.</summary>
    private bool RequireReached(List<SolvedUnit> layers, TrainingData data)
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var reached = new HashSet<string>(StringComparer.Ordinal);
        var watches = layers.Select(layer => ModuleCalls.Of(layer.Unit.Layer.Module)!.WatchArguments(_ => reached.Add(layer.Unit.Path))).ToList();
        try
        {
            using var batch = data.Read([0]).To(options.TensorDevice);
            pipeline.Loss(run.Model, batch);
        }
        finally
        {
            watches.ForEach(watch => watch.Dispose());
        }

        return reached.Count == layers.Count ? true : throw Unreached([.. layers.Where(layer => !reached.Contains(layer.Unit.Path))]);
    }

    private static PipelineException Unreached(IReadOnlyList<SolvedUnit> layers) => new(
        DiagnosticIds.LayerNotReached,
        $"training never reached '{layers[0].Unit.Path}'{(layers.Count > 1 ? $" and {layers.Count - 1} more" : "")}: the model does not use it, or calls 'forward' on it where hooks need 'call'",
        layers[0].Unit.Plan.Span);

    /// <summary>Refuses a training of nothing.</summary>
    /// <exception cref="PipelineException">PDSL1005: no layer has a step that is trained.</exception>
    public static void RequireLayers(int count, FineTuning request)
    {
        if (count == 0)
        {
            throw new PipelineException(DiagnosticIds.MissingSetting, "'train' has nothing to train: the budget left out every step that is trained; raise it, or give layers an adapter such as 'lora: { rank: 8 }'", request.Span);
        }
    }

    /// <summary>The content key of what is trained.</summary>
    /// <param name="layers">All layers as they are before, in the order of their paths.</param>
    /// <param name="request">How it is trained.</param>
    public string Key(IEnumerable<KeyedUnit> layers, FineTuning request)
    {
        var key = run.ModelKey("training", RecipeFiles.Training, options)
            .Add("version", Version)
            .Add("threads", options.Device == "cpu" ? Threads : 0)
            .Add("validation", run.Sources.GetValueOrDefault(RecipeFiles.Validation)?.Sha256 ?? "")
            .Add("seed", run.Recipe.Seed);
        foreach (var setting in RecipeCatalog.Train.Where(setting => setting.PropertyName is not (nameof(TrainAttribute.Validation) or nameof(TrainAttribute.CheckpointEvery))))
        {
            key.Add(setting.Name, SettingDescriptor.Format(setting.Get(request.Settings)));
        }

        foreach (var layer in layers)
        {
            key.Add("layer", layer.Unit.Path).Add("state", layer.Key).Add("trained", layer.Unit.Trained?.ToString() ?? "");
        }

        return key.ToString();
    }
}

/// <summary>What a run trained.</summary>
/// <param name="Adapters">The trained adapter of each layer, by path.</param>
/// <param name="Weights">What each layer's weight was before, by path.</param>
/// <param name="Record">How it went.</param>
internal sealed record TrainedModel(SortedDictionary<string, Adapter> Adapters, SortedDictionary<string, Expression> Weights, TrainingRecord Record) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in Adapters.Values.Concat<IDisposable>(Weights.Values))
        {
            part.Dispose();
        }
    }
}
