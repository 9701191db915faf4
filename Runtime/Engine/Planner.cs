using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Opens what a recipe names, fits it to the model and resolves the plan.</summary>
/// <param name="options">Where and how recipes are run.</param>
/// <param name="observer">Hears problems.</param>
internal sealed class Planner(RunOptions options, IRunObserver observer)
{
    /// <summary>Whether the recipe is only planned, so that a model of shapes will do whatever the recipe asks for, where <see cref="RunOptions.ShapesOnly"/> allows one.</summary>
    public bool RunsNothing { get; init; }

    /// <summary>Makes a recipe ready to run.</summary>
    /// <exception cref="PipelineException">Something is wrong; everything else that is wrong was reported to the observer.</exception>
    public PreparedRun Prepare(IModelPipeline pipeline)
    {
        var recipe = pipeline.Recipe;
        var files = RecipeFiles.Find(recipe, options.ProjectDirectory);
        var weights = OpenWeights(recipe, files);
        nn.Module? model = null;
        try
        {
            CheckMemoryBeforeModel(pipeline, weights);
            model = UserCode.Call(recipe, "its constructor failed", () => Make(pipeline));
            foreach (var warning in weights.Warnings)
            {
                observer.Report(warning);
            }

            ModelWeights.Load(model, weights, recipe, observer);
            model.eval();
            var digests = new WeightDigests(new ContentStore(options.CacheDirectory) { IsReadOnly = RunsNothing });
            var sources = files.Describe(weights, digests);
            var layers = ModelLayer.Find(model);
            var planned = Resolve(recipe, layers, weights, observer.Report);
            var memory = MemoryOf(recipe, planned, model, weights);
            if (options.MemoryLimit is { } limit)
            {
                memory.Require(limit, recipe);
            }

            var plan = new Plan(
                recipe.Name,
                recipe.Model,
                recipe.Seed,
                sources.ToDictionary(source => source.Key, source => source.Value.Sha256),
                new(planned.Select(item => item.Plan)))
            {
                Train = recipe.Train?.Settings,
                Analyze = new(recipe.Analyze.Select(analysis => analysis.Analysis)),
            };
            return new PreparedRun
            {
                Plan = plan,
                Recipe = recipe,
                Model = model,
                Weights = weights,
                Sources = sources,
                Paths = files.Paths,
                Layers = planned,
                Code = options.CodeFingerprint ?? CodeFingerprint.Of(pipeline.GetType()),
                Device = options.TensorDevice,
                Memory = new(recipe, memory, options.MemoryLimit),
                WeightDigests = planned.Zip(digests.OfTensors(weights, [.. planned.Select(item => item.Layer.WeightName)])).ToDictionary(item => item.First.Plan.Path, item => item.Second),
            };
        }
        catch
        {
            model?.Dispose();
            weights.Dispose();
            throw;
        }
    }

    /// <summary>The model; where nothing runs it and its constructor allows, with shapes and no numbers, so that it takes no memory.</summary>
    private nn.Module Make(IModelPipeline pipeline)
    {
        return RunsModel(pipeline.Recipe) ? pipeline.CreateModule() : MakeShapes(pipeline) ?? pipeline.CreateModule();
    }

    private bool RunsModel(Recipe recipe) => !options.ShapesOnly || (!RunsNothing && recipe is not { Calibrate: null, Train: null, Evaluate: null });

    /// <summary>The model without numbers, or null where its constructor does not allow that.</summary>
    private static nn.Module? MakeShapes(IModelPipeline pipeline)
    {
        var usual = get_default_device();
        set_default_device(META);
        try
        {
            return pipeline.CreateModule();
        }
        catch (Exception)
        {
            // A constructor that reads numbers which are not there; what else is wrong with it is told when it is called again.
            return null;
        }
        finally
        {
            set_default_device(usual);
        }
    }

    /// <summary>A model that steps run may not fit at all: a limit is held against one without numbers first. Whatever else is wrong is left to be found, and said, afterwards.</summary>
    private void CheckMemoryBeforeModel(IModelPipeline pipeline, WeightStore weights)
    {
        if (options.MemoryLimit is not { } limit || !options.ShapesOnly || !RunsModel(pipeline.Recipe))
        {
            return;
        }

        using var shapes = MakeShapes(pipeline);
        if (shapes is null)
        {
            return;
        }

        var layers = ModelLayer.Find(shapes);
        if (layers.All(layer => layer.Kind == LayerKinds.None || weights.Contains(layer.WeightName)) && TryResolve(pipeline.Recipe, layers, weights) is { } planned)
        {
            MemoryOf(pipeline.Recipe, planned, shapes, weights, isRun: true).Require(limit, pipeline.Recipe);
        }
    }

    private static List<(PlannedLayer Plan, ModelLayer Layer)>? TryResolve(Recipe recipe, IReadOnlyList<ModelLayer> layers, WeightStore weights)
    {
        try
        {
            return Resolve(recipe, layers, weights, _ => { });
        }
        catch (RunFailedException)
        {
            return null;
        }
    }

    private static MemoryPlan MemoryOf(Recipe recipe, List<(PlannedLayer Plan, ModelLayer Layer)> planned, nn.Module model, WeightStore weights, bool isRun = false)
    {
        var tensors = model.parameters().Cast<Tensor>().Concat(model.buffers()).ToList();
        long resident = tensors.Where(tensor => isRun || tensor.device_type != DeviceType.META).Sum(tensor => tensor.numel() * tensor.element_size());
        return MemoryPlan.Of(recipe, [.. planned.Select(item => item.Plan)], resident, weights.Names.Select(name => weights.Info(name).ByteCount).DefaultIfEmpty(0).Max());
    }

    /// <summary>A folder without weights is a mistake of the recipe; a damaged file speaks for itself.</summary>
    private static WeightStore OpenWeights(Recipe recipe, RecipeFiles files)
    {
        try
        {
            return WeightStore.Open(files.Paths[RecipeFiles.Weights]);
        }
        catch (PipelineException failure) when (failure.Diagnostic.Id == DiagnosticIds.MissingFile)
        {
            throw new PipelineException(DiagnosticIds.MissingFile, failure.Message, recipe.WeightsSpan, failure);
        }
    }

    private static List<(PlannedLayer Plan, ModelLayer Layer)> Resolve(Recipe recipe, IReadOnlyList<ModelLayer> layers, WeightStore weights, Action<RecipeDiagnostic> report)
    {
        var problems = new List<RecipeDiagnostic>();
        var resolved = RecipeResolver.Resolve(recipe, [.. layers.Select(layer => layer.ToCandidate())], problems.Add);
        problems.RemoveAll(problem => problem.Severity == Severity.Info);
        problems.ForEach(report);
        if (problems.FirstOrDefault(problem => problem.Severity == Severity.Error) is not null)
        {
            throw new RunFailedException();
        }

        var byPath = layers.ToDictionary(layer => layer.Path);
        return [.. resolved.Where(layer => layer.Steps.Count > 0 || layer.IsEdited)
            .OrderBy(layer => layer.Layer.Path, StringComparer.Ordinal)
            .Select(layer => (PlannedLayer.Resolve(layer, weights.Info(byPath[layer.Layer.Path].WeightName).ByteCount), byPath[layer.Layer.Path]))];
    }
}

/// <summary>A run that cannot go on; why was reported already.</summary>
public sealed class RunFailedException : Exception;
