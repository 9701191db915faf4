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

    /// <summary>By the same losses of one layer at a time, as ASVD searches (arXiv:2312.05821): choices leave from the most harmful on, until the smallest that each layer has left fit.</summary>
    MostSensitiveFirst,

    /// <summary>By the same losses, as LoRD searches (arXiv:2309.14021): every layer takes its smallest choice within one limit on the loss that it adds, and the limit is the least that fits.</summary>
    EqualLoss,

    /// <summary>The same share of its parameters, and the same bits, for every layer.</summary>
    Uniform,

    /// <summary>By the heavy tail of each weight's spectrum (FARMS, arXiv:2506.06280): well trained layers keep more. No data is needed.</summary>
    Farms,
}

/// <summary>What allocation methods have in common.</summary>
public static class AllocationMethods
{
    /// <summary>Whether a method runs the model with each choice of each layer.</summary>
    public static bool IsMeasured(this AllocationMethod method) => method is AllocationMethod.Measured or AllocationMethod.MostSensitiveFirst or AllocationMethod.EqualLoss;

    /// <summary>Whether a method looks at the model's loss on calibration data, where there is some.</summary>
    public static bool LearnsFromData(this AllocationMethod method) => method is AllocationMethod.Predicted || method.IsMeasured();
}
