using System;

namespace PipelineDsl;

/// <summary>What can be collected about a layer while calibration data flows through the model.</summary>
[Flags]
public enum StatisticKinds
{
    /// <summary>Nothing: the weight alone is enough.</summary>
    None = 0,

    /// <summary>Sum and Gram matrix of the layer's inputs; a convolution's inputs are its patches.</summary>
    InputMoments = 1,

    /// <summary>Mean of per-sample Gram matrices, each sample scaled by its largest magnitude (CorDA).</summary>
    ContextCovariance = 2,

    /// <summary>Row and column sums of squared loss gradients (Fisher information).</summary>
    Fisher = 4,

    /// <summary>As <see cref="ContextCovariance"/>, each sample scaled by the magnitude of its signed maximum (the official code's form).</summary>
    ContextCovarianceSignedMax = 8,

    /// <summary>As <see cref="ContextCovariance"/>, samples not scaled.</summary>
    ContextCovarianceUnscaled = 16,

    /// <summary>Mean and largest magnitude of each input channel (ASVD).</summary>
    InputMagnitudes = 64,

    /// <summary>How often each row of a table is looked up.</summary>
    AccessCounts = 32,

    /// <summary>Mean over samples of the L2 norm over tokens of each input channel (BitStack).</summary>
    InputNorms = 128,

    /// <summary>Squared loss gradients of every weight, summed over samples: as large as the weight itself.</summary>
    FisherDiagonal = 256,

    /// <summary>Input vectors themselves, a uniform sample of bounded size (methods that quantise inputs or train).</summary>
    InputSamples = 512,
}
