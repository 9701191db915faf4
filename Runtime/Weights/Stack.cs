using System.Text.Json.Nodes;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>A sum, scaled or not, of which any leading part of the terms is a coarser weight.</summary>
/// <remarks>Parts are cut from descriptions, so that only the leaves of the blocks in use are ever read.</remarks>
internal static class Stack
{
    /// <summary>Rebuilds a stack with its first blocks only.</summary>
    /// <param name="description">The description of the whole stack.</param>
    /// <param name="blocks">How many.</param>
    /// <param name="leaf">Gives the tensor of a leaf by name; the expression takes ownership.</param>
    /// <exception cref="InvalidDataException">The description is no stack of so many blocks, is damaged, or the leaves do not fit it.</exception>
    public static Expression Read(JsonObject description, int blocks, Func<string, Tensor> leaf)
    {
        var part = (JsonObject)description.DeepClone();
        if (Terms(part) is not { } terms || blocks < 1 || blocks > terms.Count)
        {
            throw new InvalidDataException($"the weight is no stack of {blocks} blocks");
        }

        while (terms.Count > blocks)
        {
            terms.RemoveAt(terms.Count - 1);
        }

        return Expression.Read(part, leaf);
    }

    /// <summary>The first blocks of a stack that is in memory; the leaves are shared, both can be disposed.</summary>
    public static Expression Part(Expression stack, int blocks)
    {
        var leaves = stack.Leaves().ToDictionary(leaf => leaf.Name, leaf => leaf.Tensor);
        return Read(stack.Describe(), blocks, name => leaves[name].alias());
    }

    /// <summary>The blocks of a stack that is in memory.</summary>
    public static IReadOnlyList<Expression> Blocks(Expression stack) => (stack is Scaled scaled ? scaled.Inner : stack).Parts;

    private static JsonArray? Terms(JsonObject description) => description["form"]?.ToString() switch
    {
        "sum" => description["terms"] as JsonArray,
        "scaled" when description["inner"] is JsonObject inner => Terms(inner),
        _ => null,
    };
}
