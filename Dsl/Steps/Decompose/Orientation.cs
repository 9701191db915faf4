namespace PipelineDsl;

/// <summary>The metric in which a weight is decomposed: what counts as a small error.</summary>
/// <remarks>The inputs of a convolution are its patches; those of a table are its rows' numbers, so that each row counts as often as it is looked up.</remarks>
public enum Orientation
{
    /// <summary>The weight itself: truncated SVD.</summary>
    Weight,

    /// <summary>The covariance of the inputs, damped and squared (CorDA, arXiv:2406.05223).</summary>
    Context,

    /// <summary>The second moment of the inputs: the smallest possible error of the outputs on the calibration data (SVD-LLM, arXiv:2403.07378).</summary>
    Whitened,

    /// <summary>The covariance of the outputs around their mean; the mean moves to the bias (LoRD, arXiv:2309.14021).</summary>
    Output,

    /// <summary>Squared gradients of the model's own loss, per input feature (FWSVD, arXiv:2207.00112).</summary>
    Fisher,
}
