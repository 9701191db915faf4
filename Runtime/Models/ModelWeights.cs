using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Numerics;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>Puts stored weights into a model whose tensors have the same names and shapes.</summary>
internal static class ModelWeights
{
    /// <summary>Copies every tensor into the model; into one without numbers nothing, but every tensor is checked.</summary>
    /// <exception cref="PipelineException">PDSL3003: a parameter is missing or a shape differs.</exception>
    public static void Load(nn.Module model, WeightStore weights, Recipe recipe, IRunObserver observer)
    {
        using var noGradients = no_grad();
        var state = model.state_dict();
        var parameters = model.named_parameters().Select(item => item.name).ToHashSet(StringComparer.Ordinal);
        var missing = state.Keys.Where(name => !weights.Names.Contains(name)).ToLookup(parameters.Contains);
        var unused = weights.Names.Where(name => !state.ContainsKey(name)).ToList();
        if (missing[true].FirstOrDefault() is { } absent)
        {
            string near = NearestName.Find(absent, unused) is { } name ? $", which may be '{name}' there" : "";
            throw Unfit(recipe, $"'{recipe.Weights}' has no tensor for {missing[true].Count()} of the model's parameters, first '{absent}'{near}; name the model's members as the weights name their tensors");
        }

        foreach (string name in missing[false])
        {
            observer.Report(new(DiagnosticIds.WeightsDoNotFitModel, Severity.Warning, $"'{recipe.Weights}' has no tensor for the buffer '{name}'; it keeps what the constructor gave it", recipe.WeightsSpan));
        }

        if (unused.Count > 0)
        {
            observer.Report(new(DiagnosticIds.WeightsDoNotFitModel, Severity.Warning, $"the model has no place for {unused.Count} tensors of '{recipe.Weights}', first '{unused[0]}'; they are left out of the artifact", recipe.WeightsSpan));
        }

        foreach (var (name, tensor) in state.Where(item => weights.Names.Contains(item.Key)))
        {
            if (!weights.Info(name).Shape.SequenceEqual(tensor.shape))
            {
                throw Unfit(recipe, $"'{name}' is [{string.Join(", ", weights.Info(name).Shape)}] in '{recipe.Weights}' and [{string.Join(", ", tensor.shape)}] in the model; use the weights that belong to this model");
            }

            using var source = weights.Read(name);
            bool isHeld = tensor.device_type != TorchSharp.DeviceType.META;
            if (isHeld)
            {
                tensor.copy_(source);
            }

            if (parameters.Contains(name))
            {
                RequireFinite(isHeld ? tensor : source, name, recipe);
            }
        }
    }

    /// <summary>Buffers may hold infinity, as masks do; a parameter that does makes every figure of the run worthless.</summary>
    private static void RequireFinite(Tensor parameter, string name, Recipe recipe)
    {
        if (!MatrixChecks.IsFinite(parameter))
        {
            throw new PipelineException(DiagnosticIds.BrokenWeights, $"'{name}' in '{recipe.Weights}' holds values that are no finite numbers (NaN or infinity); get or write the weights again", recipe.WeightsSpan);
        }
    }

    private static PipelineException Unfit(Recipe recipe, string message) => new(DiagnosticIds.WeightsDoNotFitModel, message, recipe.WeightsSpan);
}
