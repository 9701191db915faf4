namespace PipelineDsl;

/// <summary>How a budget is shared out among the layers.</summary>
public enum AllocationMethod
{
    /// <summary>
    /// By the error that each layer's steps predict, the share of the energy in their own metric that a rank or a number of bits gives up, times how much the model's loss on the
    /// calibration data answers to it with all layers compressed. Without a loss to measure, all layers count the same.
    /// </summary>
    Predicted,

    /// <summary>By the model's own loss on the calibration data with one layer compressed at a time: exact for one layer, and dear.</summary>
    Measured,

    /// <summary>The same share of its parameters, and the same bits, for every layer.</summary>
    Uniform,

    /// <summary>By the heavy tail of each weight's spectrum (FARMS, arXiv:2506.06280): well trained layers keep more. No data is needed.</summary>
    Farms,
}
