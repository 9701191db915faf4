using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters;

/// <summary>Finds the method of a step; methods announce themselves by their type.</summary>
public static class AdapterCatalog
{
    private static readonly Dictionary<Type, AdapterMethod> Methods = typeof(AdapterCatalog).Assembly.GetTypes()
        .Where(type => !type.IsAbstract && typeof(AdapterMethod).IsAssignableFrom(type))
        .Select(type => (AdapterMethod)Activator.CreateInstance(type)!)
        .ToDictionary(method => method.StepType);

    /// <summary>The method of a step.</summary>
    /// <exception cref="InvalidOperationException">The step has none: a mistake in this library that a test catches.</exception>
    public static AdapterMethod For(Adapt step) => Methods.TryGetValue(step.GetType(), out var method)
        ? method
        : throw new InvalidOperationException($"Step '{step.GetType().Name}' has no adapter.");

    /// <inheritdoc cref="AdapterMethod.Attach(Adapt, Tensor, LayerOperation, long)"/>
    public static Adapter Attach(this Adapt step, Tensor weight, LayerOperation operation, long seed) => For(step).Attach(step, weight, operation, seed);
}
