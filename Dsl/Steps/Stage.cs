namespace PipelineDsl;

/// <summary>Where a step stands in a layer's chain: a weight is first decomposed, then quantised.</summary>
public enum Stage
{
    /// <summary>Leaves the layer as it is; stands alone.</summary>
    Keep,

    /// <summary>Rewrites the weight as sums and products of smaller matrices.</summary>
    Decompose,

    /// <summary>Stores matrices on a grid of few bits.</summary>
    Quantize,

    /// <summary>Adds a few numbers that are trained, beside the weight as the steps before leave it.</summary>
    Adapt,
}
