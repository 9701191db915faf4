using PipelineDsl.Runtime.Models;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Finds the block that a layer is part of.</summary>
internal static class BlockPath
{
    /// <summary>
    /// The element of the model's outermost repeated container that holds the layer, <c>model.layers.3</c>: the shortest leading part of the path that ends in an integer
    /// and names a module that can be called. A layer in no such container is its own block.
    /// </summary>
    /// <param name="layer">The layer's path.</param>
    /// <param name="modules">Every module of the model by path.</param>
    public static string Of(string layer, IReadOnlyDictionary<string, nn.Module> modules)
    {
        string[] segments = layer.Split('.');
        return Enumerable.Range(1, segments.Length)
            .Where(count => segments[count - 1].All(char.IsAsciiDigit))
            .Select(count => string.Join('.', segments.Take(count)))
            .FirstOrDefault(path => modules.TryGetValue(path, out var module) && ModuleCalls.Of(module) is not null, layer);
    }

    /// <summary>Whether a layer is a module or a part of it.</summary>
    public static bool Holds(string module, string layer) => layer == module || layer.StartsWith(module + ".", StringComparison.Ordinal);
}
