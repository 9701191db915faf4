namespace PipelineDsl.Runtime.Artifacts;

/// <summary>How a budget was spent.</summary>
/// <param name="Budget">The budget as written.</param>
/// <param name="Method">How it was shared out: <c>predicted</c>, <c>measured</c>, <c>uniform</c>, <c>farms</c>.</param>
/// <param name="BudgetBytes">The largest number of bytes of all tensors.</param>
/// <param name="PlannedBytes">The bytes that the chosen options take, with everything else that is stored.</param>
/// <param name="SmallestBytes">The smallest budget that the recipe could meet.</param>
/// <param name="PredictedDistortion">The sum of the layers' distortions: parts of the increase of the calibration loss (<c>predicted</c>; shares of energy given up where there is no loss), increases of that loss with each layer alone (<c>measured</c>), or null.</param>
/// <param name="LowerBound">No choice within the budget has a smaller sum, or null where it is not a sum that was minimised.</param>
/// <param name="MeasuredDistortion">The increase of the calibration loss with all layers compressed at once, to hold against the sum; or null.</param>
/// <param name="Note">What was tried, in words, or null.</param>
/// <param name="Layers">What each layer got, by path.</param>
public sealed record AllocationRecord(
    string Budget,
    string Method,
    long BudgetBytes,
    long PlannedBytes,
    long SmallestBytes,
    double? PredictedDistortion,
    double? LowerBound,
    double? MeasuredDistortion,
    string? Note,
    IReadOnlyList<AllocatedLayer> Layers)
{
    /// <summary>The most points of a trade-off that a manifest keeps.</summary>
    public const int MaxPoints = 64;

    /// <summary>What other budgets would lose in the measure of the choice, by bytes; nothing where the method looks at no cost.</summary>
    public IReadOnlyList<TradeOffPoint> TradeOff { get; init; } = [];
}

/// <summary>A size that was attainable.</summary>
/// <param name="Bytes">Of all tensors of the artifact.</param>
/// <param name="Loss">The sum of what the layers' choices were taken to cost.</param>
public sealed record TradeOffPoint(long Bytes, double Loss);

/// <summary>What a layer got of a budget.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Choice">The chosen steps in one line, or <c>keep</c>.</param>
/// <param name="Bytes">Bytes of its weight.</param>
/// <param name="Distortion">What the choice costs by the method's measure, or null.</param>
/// <param name="Reason">The figures that the choice rests on, in words.</param>
public sealed record AllocatedLayer(string Path, string Choice, long Bytes, double? Distortion, string Reason)
{
    /// <summary>What was open and is chosen, with what the allocation took it to cost; null where it looked at no cost.</summary>
    public AllocatedChoice? Chosen { get; init; }

    /// <summary>The best choice in fewer bytes, or null where this is the cheapest.</summary>
    public AllocatedChoice? Cheaper { get; init; }

    /// <summary>The cheapest choice that costs less quality, or null where this is the best.</summary>
    public AllocatedChoice? Dearer { get; init; }
}

/// <summary>One choice for a layer.</summary>
/// <param name="Name">What was open, in words: <c>rank 12, 3 bits</c>.</param>
/// <param name="Bytes">Bytes of weight and bias.</param>
/// <param name="Distortion">What it costs as the allocation saw it, in the unit of its sum: predicted, or measured with the layer alone (<c>measured</c>).</param>
public sealed record AllocatedChoice(string Name, long Bytes, double Distortion);
