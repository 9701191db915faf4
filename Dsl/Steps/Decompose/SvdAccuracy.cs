namespace PipelineDsl;

/// <summary>How far the loss of a decomposition may lie above the smallest possible one when an iteration takes the place of the complete SVD.</summary>
/// <remarks>The bound is certified for each layer; a layer for which it cannot be is decomposed completely.</remarks>
public enum SvdAccuracy
{
    /// <summary>At most one part in a million.</summary>
    Tight,

    /// <summary>At most 1 %, in a fraction of the time.</summary>
    Fast,
}
