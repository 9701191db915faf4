namespace PipelineDsl.Runtime.Analysis;

/// <summary>Components of an earlier head that stand out of all as read by a later one.</summary>
/// <param name="Writer">The earlier head.</param>
/// <param name="Reader">The later head.</param>
/// <param name="Type">The input that reads.</param>
/// <param name="Components">One component of the writer's OV, or a cluster of nearly equal singular values.</param>
/// <param name="Score">The component's score; the root mean square over a cluster.</param>
/// <param name="ZScore">The same in standard deviations from the mean of all components of this type.</param>
public sealed record HeadChannel(HeadIndex Writer, HeadIndex Reader, CompositionType Type, IReadOnlyList<int> Components, double Score, double ZScore);
