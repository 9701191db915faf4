namespace PipelineDsl.Runtime.Allocation;

/// <summary>What an allocator chose.</summary>
/// <param name="Choices">The index of each layer's option.</param>
/// <param name="Cost">The sum of the chosen costs, at most the budget.</param>
/// <param name="Distortion">The sum of the chosen distortions.</param>
/// <param name="LowerBound">No choice within the budget has less distortion than this (linear relaxation).</param>
/// <param name="IsOptimal">Whether no choice within the budget is better; false only where the search was thinned out, and then the bound says how far off it can be.</param>
public sealed record BudgetAllocation(IReadOnlyList<int> Choices, long Cost, double Distortion, double LowerBound, bool IsOptimal);
