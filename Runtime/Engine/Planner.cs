using PipelineDsl.Diagnostics;
using PipelineDsl.Plans;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Models;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Opens what a recipe names, fits it to the model and resolves the plan.</summary>
/// <param name="options">Where and how recipes are run.</param>
/// <param name="observer">Hears problems.</param>
internal sealed class Planner(RunOptions options, IRunObserver observer)
{
    /// <summary>Whether the recipe is only planned, so that the model needs no numbers whatever the recipe asks for.</summary>
    public bool RunsNothing { get; init; }

    /// <summary>Makes a recipe ready to run.</summary>
    /// <exception cref="PipelineException">Something is wrong; everything else that is wrong was reported to the observer.</exception>
    public PreparedRun Prepare(IModelPipeline pipeline)
    {
        var recipe = pipeline.Recipe;
        var files = RecipeFiles.Find(recipe, options.ProjectDirectory);
        var weights = OpenWeights(recipe, files);
        var model = UserCode.Call(recipe, "its constructor failed", () => Make(pipeline));
        try
        {
            foreach (var warning in weights.Warnings)
            {
                observer.Report(warning);
            }

            ModelWeights.Load(model, weights, recipe, observer);
            model.eval();
            var sources = files.Describe(weights);
            var layers = ModelLayer.Find(model);
            var planned = Resolve(recipe, layers, weights);
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
                WeightDigests = planned.ToDictionary(item => item.Plan.Path, item => weights.Digest(item.Layer.WeightName)),
            };
        }
        catch
        {
            model.Dispose();
            weights.Dispose();
            throw;
        }
    }

    /// <summary>The model; where nothing runs it and its constructor allows, with shapes and no numbers, so that it takes no memory.</summary>
    private nn.Module Make(IModelPipeline pipeline)
    {
        if (!RunsNothing && (!options.ShapesOnly || pipeline.Recipe is not { Calibrate: null, Train: null, Evaluate: null }))
        {
            return pipeline.CreateModule();
        }

        var usual = get_default_device();
        set_default_device(META);
        try
        {
            return pipeline.CreateModule();
        }
        catch (Exception)
        {
            // A constructor that reads numbers which are not there; what else is wrong with it is told below.
        }
        finally
        {
            set_default_device(usual);
        }

        return pipeline.CreateModule();
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

    private List<(PlannedLayer Plan, ModelLayer Layer)> Resolve(Recipe recipe, IReadOnlyList<ModelLayer> layers, WeightStore weights)
    {
        var problems = new List<RecipeDiagnostic>();
        var resolved = RecipeResolver.Resolve(recipe, [.. layers.Select(layer => layer.ToCandidate())], problems.Add);
        problems.RemoveAll(problem => problem.Severity == Severity.Info);
        problems.ForEach(observer.Report);
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
