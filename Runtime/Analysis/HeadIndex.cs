namespace PipelineDsl.Runtime.Analysis;

/// <summary>Where an attention head is.</summary>
/// <param name="Layer">The layer, from 0.</param>
/// <param name="Head">The head within the layer, from 0.</param>
public readonly record struct HeadIndex(int Layer, int Head)
{
    /// <summary>Layer and head as papers write them: 7.3.</summary>
    public override string ToString() => $"{Layer}.{Head}";
}
