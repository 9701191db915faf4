namespace PipelineDsl.Runtime.Allocation;

/// <summary>One way to store a layer.</summary>
/// <param name="Cost">What it takes, exact: bytes, or kept weights; not negative.</param>
/// <param name="Distortion">What it costs in quality; finite, of any sign, in no order with the cost.</param>
public readonly record struct AllocationOption(long Cost, double Distortion);
