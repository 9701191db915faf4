using System.Collections.Generic;

namespace PipelineDsl;

/// <summary>Leaves a layer exactly as it is, whatever broader patterns say.</summary>
public sealed class Keep : Step
{
    /// <inheritdoc/>
    public override Stage Stage => Stage.Keep;

    /// <inheritdoc/>
    public override LayerKinds AppliesTo => LayerKinds.All;

    /// <inheritdoc/>
    public override IReadOnlyList<MatrixCost> Predict(LayerShape layer, IReadOnlyList<MatrixCost> factors) => factors;
}
