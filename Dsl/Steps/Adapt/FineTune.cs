namespace PipelineDsl;

/// <summary>Trains the layer's weight itself, all of it.</summary>
public sealed class FineTune : Adapt
{
    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override bool KeepsBase => false;

    /// <inheritdoc/>
    public override long TrainedNumbers(LayerShape layer) => layer.Count;
}
