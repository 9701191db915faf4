namespace PipelineDsl.Runtime.Report;

/// <summary>A node of what a map shows: a leaf with its own weight, or a group with the sum of its children's.</summary>
/// <param name="name">Its name in the group around it.</param>
/// <param name="weight">The weight of a leaf, above zero; of no meaning for a group.</param>
/// <param name="children">What a group holds, or nothing for a leaf.</param>
internal sealed class MapNode(string name, double weight, IReadOnlyList<MapNode> children)
{
    /// <summary>Its name in the group around it.</summary>
    public string Name { get; } = name;

    /// <summary>What a group holds, or nothing for a leaf.</summary>
    public IReadOnlyList<MapNode> Children { get; } = children;

    /// <summary>Its weight, or the sum of its children's.</summary>
    public double Weight { get; } = children.Count == 0 ? weight : children.Sum(child => child.Weight);

    /// <summary>All leaves below it, or itself, in order.</summary>
    public IEnumerable<MapNode> Leaves => Children.Count == 0 ? [this] : Children.SelectMany(child => child.Leaves);
}
